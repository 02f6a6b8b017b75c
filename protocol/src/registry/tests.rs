use super::*;
use crate::flags::UNLIMITED;
use proptest::prelude::*;
use std::fs;

fn folder() -> (tempfile::TempDir, Registry) {
    let folder = tempfile::tempdir().unwrap();
    let registry = Registry::new(folder.path().join("servers.json"));
    (folder, registry)
}

fn server(number: u16) -> Entry {
    Entry {
        id: number.to_string(),
        address: SocketAddr::from(([127, 0, 0, 1], 6000 + number)),
        service: LAB.to_owned(),
        processing_time: f64::from(number) / 10.0,
        capacity: 1,
        control: SocketAddr::from(([127, 0, 0, 1], 16_000 + number)),
        pid: Some(1000 + u32::from(number)),
    }
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(folder).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_server_registers_and_leaves() {
    let (_folder, registry) = folder();
    let reading = registry.read().unwrap();
    assert!(reading.entries.is_empty() && reading.note.unwrap().contains("does not exist yet"));
    for number in [1, 2] {
        assert_eq!(registry.register(&server(number)).unwrap(), Change::default());
    }
    assert_eq!(registry.read().unwrap().entries, [server(1), server(2)]);
    let change = registry.unregister("1", server(1).address, server(1).pid).unwrap();
    assert_eq!(change.removed, [server(1)]);
    assert_eq!(registry.read().unwrap(), Reading { entries: vec![server(2)], ..Reading::default() });
    registry.remove_if_same(&server(2)).unwrap();
    assert_eq!(fs::read_to_string(registry.path()).unwrap(), "[]\n");
}

#[test]
fn the_file_is_made_for_reading() {
    let (_folder, registry) = folder();
    registry.register(&server(1)).unwrap();
    registry.register(&Entry { pid: None, processing_time: 10.0, ..server(2) }).unwrap();
    let expected = r#"[
  {"id": "1", "address": "127.0.0.1:6001", "service": "lab", "processing_time": 0.1, "capacity": 1, "control": "127.0.0.1:16001", "pid": 1001},
  {"id": "2", "address": "127.0.0.1:6002", "service": "lab", "processing_time": 10.0, "capacity": 1, "control": "127.0.0.1:16002"}
]
"#;
    assert_eq!(fs::read_to_string(registry.path()).unwrap(), expected);
}

#[test]
fn whoever_took_over_an_id_is_not_removed_by_the_former_owner() {
    let (_folder, registry) = folder();
    let (old, new) = (server(1), Entry { pid: Some(7), address: server(9).address, ..server(1) });
    registry.register(&old).unwrap();
    registry.register(&server(2)).unwrap();
    assert_eq!(registry.register(&new).unwrap().removed, std::slice::from_ref(&old));
    assert!(registry.unregister(&old.id, old.address, old.pid).unwrap().removed.is_empty());
    assert!(registry.remove_if_same(&old).unwrap().removed.is_empty());
    // It stands where the former one stood.
    assert_eq!(registry.read().unwrap().entries, [new, server(2)]);
}

#[test]
fn an_address_has_one_server() {
    let (_folder, registry) = folder();
    for number in [1, 2, 3] {
        registry.register(&server(number)).unwrap();
    }
    let new = Entry { address: server(1).address, ..server(3) };
    assert_eq!(registry.register(&new).unwrap().removed, [server(1), server(3)]);
    assert_eq!(registry.read().unwrap().entries, [new, server(2)]);
}

#[test]
fn what_others_wrote_survives() {
    let (_folder, registry) = folder();
    let by_hand =
        r#"[{"id": 1, "address": "127.0.0.1:6001", "rack": {"row": [1, 2]}, "weight": 8}, "a note", {"id": "b"}]"#;
    fs::write(registry.path(), by_hand).unwrap();
    registry.register(&server(2)).unwrap();
    registry.register(&server(1)).unwrap();
    let text = fs::read_to_string(registry.path()).unwrap();
    let lines: Vec<_> = text.lines().collect();
    assert!(lines[1].ends_with(r#""pid": 1001, "rack": {"row":[1,2]}, "weight": 8},"#), "{text}");
    assert_eq!(lines[2..4], ["  \"a note\",", "  {\"id\": \"b\"},"]);
    let reading = registry.read().unwrap();
    assert_eq!(reading.entries, [server(1), server(2)]);
    assert_eq!(reading.rejected.iter().map(|rejected| rejected.index).collect::<Vec<_>>(), [1, 2]);
}

#[test]
fn nothing_is_written_when_nothing_changes() {
    let (_folder, registry) = folder();
    fs::write(registry.path(), "[ ]").unwrap();
    registry.unregister("1", server(1).address, None).unwrap();
    assert_eq!(fs::read_to_string(registry.path()).unwrap(), "[ ]");
}

#[test]
fn one_bad_entry_does_not_spoil_the_rest() {
    let good = serde_json::to_value(server(1)).unwrap();
    let changed = |key: &str, value: Value| {
        let mut entry = serde_json::to_value(server(2)).unwrap();
        entry[key] = value;
        entry
    };
    for (bad, why) in [
        (Value::from(7), "a number where an object belongs"),
        (serde_json::json!({}), "\"service\" is missing"),
        (changed("id", "a b".into()), "\"id\" is wrong"),
        (changed("id", Value::Null), "\"id\" is null where a text belongs"),
        (changed("id", (-1).into()), "\"id\" is a number"),
        (changed("id", "1".into()), "The id 1 is taken"),
        (changed("address", "127.0.0.1:6001".into()), "The address 127.0.0.1:6001 is taken"),
        (changed("address", "localhost".into()), "\"address\" is not an address"),
        (changed("control", "127.0.0.1:0".into()), "\"control\" has port 0"),
        (changed("processing_time", (-1).into()), "\"processing_time\" is not a number of seconds"),
        (changed("processing_time", "fast".into()), "\"processing_time\" is not a number of seconds"),
        (changed("capacity", 0.into()), "\"capacity\" is neither a whole number from 1 to 100000 nor \"unlimited\""),
        (changed("capacity", 1.5.into()), "\"capacity\" is neither a whole number"),
        (changed("capacity", u32::MAX.into()), "\"capacity\" is neither a whole number"),
        (changed("capacity", "many".into()), "\"capacity\" is neither a whole number"),
        (changed("pid", "x".into()), "\"pid\" is not the number"),
        (changed("service", "".into()), "\"service\" is not a short name"),
    ] {
        let bytes = serde_json::to_vec(&Value::from(vec![good.clone(), bad])).unwrap();
        let reading = Reading::parse(&bytes).unwrap();
        assert_eq!(reading.entries, [server(1)]);
        assert_eq!((reading.rejected.len(), reading.rejected[0].index), (1, 1));
        assert!(reading.rejected[0].why.contains(why), "{} should contain {why}", reading.rejected[0].why);
    }
}

#[test]
fn a_server_that_takes_everything_says_so_in_a_word() {
    let all = Entry { capacity: UNLIMITED, ..server(1) };
    let text = entry::format(&[serde_json::to_value(&all).unwrap()]);
    assert!(text.contains(r#""capacity": "unlimited", "control""#), "{text}");
    assert_eq!(Reading::parse(text.as_bytes()).unwrap().entries, [all]);
}

#[test]
fn numbers_are_ids_and_little_is_needed() {
    let text = br#" [{"id": 3, "address": "[::1]:6003", "service": "lab", "processing_time": 1, "control": "[::1]:7", "x": 1}]"#;
    let entry = Reading::parse(text).unwrap().find("3").cloned().unwrap();
    assert_eq!((entry.processing_time, entry.capacity, entry.pid), (1.0, 1, None));
    let marked: Vec<u8> = [b"\xef\xbb\xbf", text.as_slice()].concat();
    assert_eq!(Reading::parse(&marked).unwrap().entries, [entry]);
}

#[test]
fn a_file_cut_anywhere_is_empty_or_an_error() {
    let entries: Vec<Value> = [1, 2].map(|number| serde_json::to_value(server(number)).unwrap()).into();
    let text = entry::format(&entries);
    let whole = text.trim_end().len();
    for cut in 0..whole {
        match Reading::parse(&text.as_bytes()[..cut]) {
            Ok(reading) => assert!(cut == 0 && reading.note.is_some(), "cut at {cut}: {reading:?}"),
            Err(why) => assert!(why.contains("half written"), "cut at {cut}: {why}"),
        }
    }
    assert_eq!(Reading::parse(&text.as_bytes()[..whole]).unwrap().entries.len(), 2);
}

#[test]
fn errors_of_the_whole_file_say_what_to_do() {
    let (_folder, registry) = folder();
    for (content, why) in [
        (&b"{}"[..], "holds an object where an array of servers belongs"),
        (b"servers", "is not JSON: expected value at line 1 column 1"),
        (b"[] []", "is not JSON: trailing characters"),
        (b"\xff\xfe[\0]\0", "is not JSON"),
        (&b"[".repeat(200), "is not JSON: recursion limit"),
        (b"[{\"id\":\n", "ends in the middle (line 2), as if half written"),
    ] {
        fs::write(registry.path(), content).unwrap();
        let error = registry.read().unwrap_err().to_string();
        assert!(error.contains(why) && error.contains("write [] into it"), "{error}");
    }
    fs::write(registry.path(), " \n").unwrap();
    assert!(registry.read().unwrap().note.unwrap().contains("is empty"));
    let error = Registry::new("/").read().unwrap_err();
    assert!(matches!(error, RegistryError::Unreadable { .. }), "{error}");
}

#[test]
fn a_writer_saves_aside_what_it_cannot_understand() {
    let (folder, registry) = folder();
    for number in [1, 2] {
        fs::write(registry.path(), format!("my notes {number}")).unwrap();
        let change = registry.register(&server(number)).unwrap();
        let aside = change.saved_aside.unwrap();
        assert_eq!(aside, folder.path().join(format!("servers.json.bad-{number}")));
        assert_eq!(fs::read_to_string(aside).unwrap(), format!("my notes {number}"));
        assert_eq!(registry.read().unwrap().entries, [server(number)]);
    }
}

#[test]
fn leftovers_of_a_writer_that_died_are_swept_and_no_harm() {
    let (folder, registry) = folder();
    registry.register(&server(1)).unwrap();
    fs::write(folder.path().join(".servers.json.a1B2c3.tmp"), "[{\"id\": \"9").unwrap();
    fs::write(folder.path().join(".other.json.a1B2c3.tmp"), "").unwrap();
    assert_eq!(registry.read().unwrap().entries, [server(1)]);
    registry.register(&server(2)).unwrap();
    assert_eq!(names(folder.path()), [".other.json.a1B2c3.tmp", "servers.json", "servers.json.lock"]);
}

#[cfg(unix)]
#[test]
fn permissions_stay_and_a_link_stays_a_link() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let (folder, registry) = folder();
    let shared = folder.path().join("shared");
    fs::create_dir(&shared).unwrap();
    symlink("shared/list.json", registry.path()).unwrap();
    // The link leads nowhere yet.
    registry.register(&server(1)).unwrap();
    let list = shared.join("list.json");
    fs::set_permissions(&list, fs::Permissions::from_mode(0o664)).unwrap();
    registry.register(&server(2)).unwrap();
    assert_eq!(fs::read_link(registry.path()).unwrap(), Path::new("shared/list.json"));
    assert_eq!(fs::metadata(&list).unwrap().permissions().mode() & 0o777, 0o664);
    assert_eq!(Registry::new(&list).read().unwrap().entries.len(), 2);
    assert_eq!(names(&shared), ["list.json", "list.json.lock"]);
}

#[test]
fn a_folder_that_is_not_there_is_explained() {
    let (folder, _) = folder();
    let error = Registry::new(folder.path().join("no/servers.json")).register(&server(1)).unwrap_err();
    assert!(matches!(error, RegistryError::LockFile { .. }), "{error}");
}

#[test]
fn a_watcher_tells_each_change_once() {
    let (_folder, registry) = folder();
    let mut watcher = Watcher::new(registry.clone());
    assert!(watcher.changed().unwrap().unwrap().note.is_some());
    assert!(watcher.changed().is_none());
    registry.register(&server(1)).unwrap();
    assert_eq!(watcher.changed().unwrap().unwrap().entries, [server(1)]);
    assert!(watcher.changed().is_none());
    // The same length and, as like as not, the same time: only the content differs.
    fs::write(registry.path(), fs::read_to_string(registry.path()).unwrap().replace("6001", "6007")).unwrap();
    assert_eq!(watcher.changed().unwrap().unwrap().entries[0].address.port(), 6007);
    // Another layout of the same is no news.
    fs::write(registry.path(), fs::read_to_string(registry.path()).unwrap().replace(' ', "")).unwrap();
    assert!(watcher.changed().is_none());
    assert_eq!(watcher.last_good().entries.len(), 1);
}

#[test]
fn a_watcher_believes_a_broken_file_at_the_second_look_and_keeps_the_last_list() {
    let (_folder, registry) = folder();
    registry.register(&server(1)).unwrap();
    let good = fs::read(registry.path()).unwrap();
    let mut watcher = Watcher::new(registry.clone());
    assert!(watcher.changed().unwrap().is_ok());
    // Somebody saves with an editor: for a moment there is half a file.
    fs::write(registry.path(), &good[..20]).unwrap();
    assert!(watcher.changed().is_none());
    fs::write(registry.path(), &good).unwrap();
    assert!(watcher.changed().is_none());
    // This one stays broken.
    fs::write(registry.path(), &good[..20]).unwrap();
    assert!(watcher.changed().is_none());
    assert!(watcher.changed().unwrap().is_err());
    assert!(watcher.changed().is_none());
    assert_eq!(watcher.last_good().entries, [server(1)]);
    fs::write(registry.path(), &good).unwrap();
    assert_eq!(watcher.changed().unwrap().unwrap().entries, [server(1)]);
    fs::remove_file(registry.path()).unwrap();
    assert!(watcher.changed().is_none());
    assert!(watcher.changed().unwrap().unwrap().note.is_some());
}

proptest! {
    #[test]
    fn any_bytes_are_a_list_or_a_sentence(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _either = Reading::parse(&bytes);
    }

    #[test]
    fn any_damage_to_a_list_is_a_list_or_a_sentence(at in 0_usize..300, byte in any::<u8>(), cut in 0_usize..300) {
        let entries: Vec<Value> = [1, 2].map(|number| serde_json::to_value(server(number)).unwrap()).into();
        let mut bytes = entry::format(&entries).into_bytes();
        let length = bytes.len();
        bytes[at % length] = byte;
        bytes.truncate(length - cut % length);
        if let Ok(reading) = Reading::parse(&bytes) {
            prop_assert!(reading.entries.len() <= 2);
        }
    }

    #[test]
    fn what_is_written_is_read(id in "[A-Za-z0-9_.-]{1,64}", port in 1_u16.., time in 0.0..=3600.0_f64, capacity in prop_oneof![1..=100_000_u32, Just(UNLIMITED)], pid: Option<u32>) {
        let entry = Entry { id, address: ([10, 0, 0, 1], port).into(), processing_time: time, capacity, pid, ..server(1) };
        let text = entry::format(&[serde_json::to_value(&entry).unwrap()]);
        prop_assert_eq!(Reading::parse(text.as_bytes()).unwrap().entries, vec![entry]);
    }
}

mod processes;
