use super::*;

fn files(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap();
    let mut names: Vec<_> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn resumed(checkpoints: &mut Checkpoints, preferred: Option<&Path>) -> Option<Vec<u8>> {
    checkpoints.resume(preferred).unwrap().checkpoint.map(|checkpoint| checkpoint.payload)
}

#[test]
fn the_newest_two_stay_and_the_newest_is_resumed() {
    let dir = tempfile::tempdir().unwrap();
    let mut checkpoints = Checkpoints::new(dir.path().join("made/when/needed"), "model");
    assert_eq!(resumed(&mut checkpoints, None), None);
    for payload in ["one", "two", "three"] {
        checkpoints.save(payload.as_bytes()).unwrap();
    }
    let directory = dir.path().join("made/when/needed");
    assert_eq!(files(&directory), ["model-000002.ckpt", "model-000003.ckpt"]);
    assert_eq!(resumed(&mut checkpoints, None).unwrap(), b"three");
    checkpoints.remove_all().unwrap();
    assert_eq!(files(&directory), [""; 0]);
}

#[test]
fn a_checkpoint_cut_at_any_byte_is_refused_and_the_older_one_used() {
    let dir = tempfile::tempdir().unwrap();
    let mut checkpoints = Checkpoints::new(dir.path(), "model");
    checkpoints.save(b"older").unwrap();
    let newest = checkpoints.save(b"newest, binary \0\n\xff and long").unwrap();
    let whole = fs::read(&newest).unwrap();
    for length in 0..whole.len() {
        fs::write(&newest, &whole[..length]).unwrap();
        let found = checkpoints.resume(Some(&newest)).unwrap();
        assert_eq!(found.checkpoint.unwrap().payload, b"older", "cut at {length}");
        let [refused] = &found.refused[..] else { panic!("refused once: {:?}", found.refused) };
        assert_eq!(refused.path(), newest);
    }
}

#[test]
fn any_single_changed_byte_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let mut checkpoints = Checkpoints::new(dir.path(), "model");
    let path = checkpoints.save(b"payload").unwrap();
    let whole = fs::read(&path).unwrap();
    for at in 0..whole.len() {
        for flip in [1, 0x20, 0x80] {
            let mut changed = whole.clone();
            changed[at] ^= flip;
            fs::write(&path, changed).unwrap();
            assert!(load(&path).is_err(), "byte {at} changed by {flip}");
        }
    }
    fs::write(&path, [whole, b"x".to_vec()].concat()).unwrap();
    let error = load(&path).unwrap_err();
    assert!(matches!(error, LoadError::Length { expected: 7, found: 8, .. }), "{error:?}");
}

#[test]
fn a_refused_checkpoint_never_crowds_out_a_whole_one() {
    let dir = tempfile::tempdir().unwrap();
    let mut checkpoints = Checkpoints::new(dir.path(), "model");
    checkpoints.save(b"good").unwrap();
    let torn = checkpoints.save(b"torn").unwrap();
    fs::write(&torn, "bij-checkpoint 1 4").unwrap();
    assert_eq!(resumed(&mut checkpoints, None).unwrap(), b"good");
    checkpoints.save(b"next").unwrap();
    assert_eq!(files(dir.path()), ["model-000001.ckpt", "model-000003.ckpt"]);
}

#[test]
fn the_preferred_checkpoint_comes_first_in_any_directory() {
    let dir = tempfile::tempdir().unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    let preferred = Checkpoints::new(elsewhere.path(), "other").save(b"told").unwrap();
    let mut checkpoints = Checkpoints::new(dir.path(), "model");
    checkpoints.save(b"own").unwrap();
    assert_eq!(resumed(&mut checkpoints, Some(&preferred)).unwrap(), b"told");

    let gone = elsewhere.path().join("gone.ckpt");
    let found = checkpoints.resume(Some(&gone)).unwrap();
    assert_eq!(found.checkpoint.unwrap().payload, b"own");
    assert!(matches!(found.refused[..], [LoadError::Read { .. }]));
}

#[test]
fn other_files_are_neither_read_nor_removed() {
    let dir = tempfile::tempdir().unwrap();
    let others =
        ["model-+00003.ckpt", "model-3.ckpt", "model-000004.ckpt.tmp", "models-000009.ckpt", "x"];
    for name in others {
        fs::write(dir.path().join(name), seal(b"other")).unwrap();
    }
    let mut checkpoints = Checkpoints::new(dir.path(), "model");
    assert_eq!(resumed(&mut checkpoints, None), None);
    for _ in 0..4 {
        checkpoints.save(b"own").unwrap();
    }
    checkpoints.remove_all().unwrap();
    let mut left = files(dir.path());
    left.retain(|name| name != "model-000004.ckpt.tmp"); // overwritten: the temporary file of a save
    assert_eq!(left.len(), 4);
}

#[test]
fn another_version_is_refused_with_its_number() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("model-000001.ckpt");
    fs::write(&path, "bij-checkpoint 2 0 cbf29ce484222325\n").unwrap();
    let error = load(&path).unwrap_err();
    assert!(matches!(&error, LoadError::Version { found, .. } if found == "2"), "{error:?}");
}

#[test]
fn the_checksum_is_the_published_one() {
    // Test vectors of draft-eastlake-fnv.
    assert_eq!(fnv1a(b""), 0xcbf2_9ce4_8422_2325);
    assert_eq!(fnv1a(b"a"), 0xaf63_dc4c_8601_ec8c);
    assert_eq!(fnv1a(b"foobar"), 0x8594_4171_f739_67e8);
}
