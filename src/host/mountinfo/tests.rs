use std::os::fd::AsFd;

use proptest::prelude::*;

use super::*;

/// As the kernel writes a text (`mangle` and `seq_show_option`).
fn escape(text: &[u8]) -> Vec<u8> {
    let octal = |byte: &u8| match byte {
        b' ' | b'\t' | b'\n' | b'\\' | b',' | b'=' | b'#' => format!("\\{byte:03o}").into_bytes(),
        byte => vec![*byte],
    };
    text.iter().flat_map(octal).collect()
}

#[test]
fn a_mount_is_found_by_its_id_and_not_by_one_that_begins_alike() {
    let table = b"12 1 8:1 / /a rw - ext4 /dev/sda rw\n1 0 8:1 /sub /b rw - ext4 /dev/sda ro,x=y\n";

    let mount = find(table, 1).unwrap();

    assert_eq!((mount.root, mount.mount_point), (b"/sub".to_vec(), b"/b".to_vec()));
    assert_eq!(mount.options, [b"ro".to_vec(), b"x=y".to_vec()]);
    assert_eq!(find(table, 2), None);
}

#[test]
fn optional_fields_are_stepped_over_however_many_there_are() {
    let with = b"1 0 0:40 / /m rw shared:4 master:2 propagate_from:1 - overlay overlay ro,a=b";
    let without = b"1 0 0:40 / /m rw - overlay overlay ro,a=b";

    assert_eq!(find(with, 1), find(without, 1));
    assert_eq!(find(with, 1).unwrap().options, [b"ro".to_vec(), b"a=b".to_vec()]);
}

#[test]
fn a_line_that_breaks_off_is_no_mount() {
    for table in [&b""[..], b"1", b"1 0 8:1 /", b"1 0 8:1 / /m rw shared:1", b"1 0 8:1 / /m rw - t"]
    {
        assert_eq!(find(table, 1), None, "{}", String::from_utf8_lossy(table));
    }
}

#[test]
fn a_backslash_without_three_octal_digits_stays() {
    assert_eq!(unescape(br"a\040b\134\08\777\"), br"a b\\08\777\");
}

proptest! {
    #[test]
    fn what_the_kernel_escapes_is_put_back(
        root in "/[ -~\\t\\n]{0,12}",
        point in "/[ -~\\t\\n]{0,12}",
        values in prop::collection::vec(prop::collection::vec(1_u8.., 0..12), 1..6),
    ) {
        let options: Vec<_> = values.iter().map(|it| [b"lowerdir+=", &it[..]].concat()).collect();
        let shown: Vec<_> =
            values.iter().map(|it| [b"lowerdir+=", &escape(it)[..]].concat()).collect();
        let line = [
            b"7 1 0:40 ",
            &escape(root.as_bytes())[..], b" ", &escape(point.as_bytes()),
            b" rw,relatime shared:3 - overlay my\\040overlay ",
            &shown.join(&b","[..]), b"\n",
        ].concat();

        let mount = find(&line, 7).unwrap();

        let (root, mount_point) = (root.into_bytes(), point.into_bytes());
        prop_assert_eq!(mount, Mount { root, mount_point, options });
    }

    #[test]
    fn no_table_makes_the_reader_panic(table in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = find(&table, 1);
    }
}

/// Both ways to ask, on a mount whose names need every kind of escape.
#[test]
fn the_table_and_the_call_describe_a_mount_alike() {
    let check = || {
        crate::sys::ns::leave(crate::sys::flags::ns::MOUNT).unwrap();
        crate::sys::mount::make_all_private().unwrap();
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        for name in ["a:b, \\c\n=d", "e", "m #\t\\040m"] {
            std::fs::create_dir(dir.join(name)).unwrap();
        }
        let options = format!("lowerdir={0}/a\\:b\\, \\\\c\n=d:{0}/e", dir.display());
        let options = std::ffi::CString::new(options).unwrap();
        let flags = rustix::mount::MountFlags::empty();
        let point = dir.join("m #\t\\040m");
        rustix::mount::mount(c"overlay", &point, c"overlay", flags, options.as_c_str()).unwrap();
        let root = std::fs::File::open(&point).unwrap();
        let known = statx(&root, c"", AtFlags::EMPTY_PATH, MOUNT_ID).unwrap();

        let table = describe_from_table(root.as_fd()).unwrap();
        let call = describe(root.as_fd(), &known).unwrap();
        drop(root);
        rustix::mount::unmount(&point, rustix::mount::UnmountFlags::DETACH).unwrap();

        // The table has the option that every file system has; the call on some kernels.
        let own = |it: &Mount| -> Vec<_> {
            it.options.iter().filter(|option| *option != b"ro").cloned().collect()
        };
        assert_eq!(own(&table), own(&call));
        assert_eq!((table.root, &table.mount_point), (call.root, &call.mount_point));
        assert_eq!(call.mount_point, point.as_os_str().as_encoded_bytes());
        assert!(call.options.iter().any(|it| it.ends_with(b"/e")), "{:?}", call.options);
    };
    std::thread::spawn(check).join().unwrap();
}

#[test]
fn what_lies_below_a_place_is_told_by_its_flags() {
    let table = b"9 1 0:9 / / rw - ext4 x rw\n\
        12 11 0:3 / /a/b/c/d noexec - tmpfs x rw\n\
        10 9 0:1 / /a rw,relatime - tmpfs x rw\n\
        11 10 0:2 / /a/b/c ro,nosuid - tmpfs x rw\n\
        13 10 0:4 / /a/bc nodev - tmpfs x rw\n\
        14 9 0:5 / /other noatime - tmpfs x rw\n";
    let flags = |id, place: &[u8]| {
        let found = below(table, id, place)?;
        assert!(found.iter().all(|mount| mount.kind == "tmpfs"));
        Some(found.iter().map(|mount| mount.flags.join(",")).collect::<Vec<_>>())
    };

    assert_eq!(flags(10, b"/a/b").unwrap(), ["ro,nosuid", "noexec"]);
    assert_eq!(flags(10, b"/a").unwrap(), ["ro,nosuid", "nodev", "noexec"]);
    assert_eq!(flags(9, b"/").unwrap().len(), 5);
    assert_eq!(flags(12, b"/a/b/c/d").unwrap(), Vec::<String>::new());
    assert_eq!(flags(99, b"/"), None);
}
