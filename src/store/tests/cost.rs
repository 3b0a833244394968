//! What the store costs.

use super::*;

/// Cost of the usual case: `cargo test --release -- --ignored --nocapture cost_of`.
#[test]
#[ignore = "measures"]
fn cost_of_the_store() {
    let place = Place::new();
    place.container("warm");
    let time = |what: &str, run: &mut dyn FnMut(usize)| {
        let start = Instant::now();
        (0..1000).for_each(run);
        println!("{what} {:?}", start.elapsed() / 1000);
    };
    let record = record("x");
    time("open", &mut |_| drop(place.store()));
    let store = place.store();
    time("reserve + drop", &mut |n| drop(store.reserve(&id(&format!("c{n}"))).unwrap()));
    time("lock + remove", &mut |n| store.lock(&id(&format!("c{n}"))).unwrap().remove().unwrap());
    let entry = store.reserve(&id("x")).unwrap();
    time("write_state", &mut |_| entry.write_state(&record).unwrap());
    time("write_plan 16 KiB", &mut |_| entry.write_plan(&[b'x'; 16 << 10]).unwrap());
    time("read_state", &mut |_| drop(entry.read_state().unwrap()));
    time("read (with status)", &mut |_| drop(store.read(&id("x")).unwrap()));
    time("owner", &mut |_| drop(entry.owner().unwrap()));
}
