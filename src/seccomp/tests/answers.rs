//! What particular calls are answered.

use super::support::*;

#[test]
fn podmans_profile_is_small() {
    let profile = profile(PODMAN_4);
    for request in [bare(&profile), standing(&profile)] {
        let compiled = compiled(&request);
        println!(
            "{:?} {} {:?}",
            request.baseline,
            compiled.program.instructions.len(),
            compiled.warnings
        );
        println!("{:?}", compiled.denials.iter().map(|d| d.id).collect::<Vec<_>>());
    }
}
