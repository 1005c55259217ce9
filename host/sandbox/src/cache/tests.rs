use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};

use tempfile::TempDir;

use super::*;

fn key(byte: u8) -> CacheKey {
    CacheKey([byte; 32])
}

fn slot(name: &str) -> Slot {
    Slot {
        component: Digest::of(name.as_bytes()),
        engine: Digest::of(b"engine"),
    }
}

/// A cache in a folder of its own.
fn cache(bytes_max: u64) -> (TempDir, CodeCache) {
    let folder = tempfile::tempdir().expect("a folder");
    let cache = CodeCache::open(&folder.path().join("code"), key(1), bytes_max);
    (folder, cache.expect("opens"))
}

/// What is found: the code as text, nothing, or why not.
fn found(cache: &CodeCache, slot: &Slot) -> String {
    match cache.find(slot) {
        Found::Code(code) => String::from_utf8_lossy(code.as_bytes()).into_owned(),
        Found::Nothing => "nothing".to_owned(),
        Found::Refused(reason) => format!("refused: {reason}"),
    }
}

#[test]
fn what_was_put_in_is_found_and_nothing_else() {
    let (_folder, cache) = cache(10_000);
    assert_eq!(found(&cache, &slot("a")), "nothing");
    cache.put(&slot("a"), b"code of a").expect("writes");
    assert_eq!(found(&cache, &slot("a")), "code of a");
    assert_eq!(found(&cache, &slot("b")), "nothing");
    let newer = Slot {
        engine: Digest::of(b"a newer engine"),
        ..slot("a")
    };
    assert_eq!(found(&cache, &newer), "nothing");
    cache.put(&slot("a"), b"again").expect("writes");
    assert_eq!(found(&cache, &slot("a")), "again");
    let path = cache.path().join(slot("a").name());
    let mode = fs::metadata(path).expect("a file").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let mode = fs::metadata(cache.path()).expect("a folder").permissions();
    assert_eq!(mode.mode() & 0o777, 0o700);
}

#[test]
fn every_byte_of_a_file_is_sealed() {
    let (_folder, cache) = cache(10_000);
    let path = cache.path().join(slot("a").name());
    cache.put(&slot("a"), b"some code").expect("writes");
    let good = fs::read(&path).expect("a file");
    for index in 0..good.len() {
        let mut bad = good.clone();
        bad[index] ^= 1;
        write(&path, &bad);
        let found = found(&cache, &slot("a"));
        assert!(found.starts_with("refused: "), "{index}: {found}");
        assert!(!path.exists(), "{index}: it is still there");
    }
    for length in 0..good.len() {
        write(&path, &good[..length]);
        let found = found(&cache, &slot("a"));
        assert!(found.starts_with("refused: "), "{length}: {found}");
    }
    write(&path, &[&good[..], b"x"].concat());
    assert!(found(&cache, &slot("a")).contains("its seal is not valid"));
    write(&path, &good);
    assert_eq!(found(&cache, &slot("a")), "some code");
}

fn write(path: &Path, bytes: &[u8]) {
    fs::write(path, bytes).expect("a file");
    fs::set_permissions(path, Permissions::from_mode(0o600)).expect("a mode");
}

#[test]
fn code_is_good_for_one_component_on_one_host() {
    let (folder, ours) = cache(10_000);
    ours.put(&slot("a"), b"code of a").expect("writes");
    let (a, b) = (
        ours.path().join(slot("a").name()),
        ours.path().join(slot("b").name()),
    );
    fs::copy(&a, &b).expect("copies");
    assert!(found(&ours, &slot("b")).contains("its seal is not valid"));
    // As if the folder were another host's.
    let theirs = CodeCache::open(&folder.path().join("code"), key(2), 10_000);
    assert!(found(&theirs.expect("opens"), &slot("a")).contains("its seal is not valid"));
}

#[test]
fn links_pipes_and_what_others_may_write_are_refused() {
    let (folder, cache) = cache(10_000);
    let path = cache.path().join(slot("a").name());
    let outside = folder.path().join("outside");
    let good = || {
        cache.put(&slot("a"), b"code of a").expect("writes");
    };

    good();
    fs::rename(&path, &outside).expect("moves");
    symlink(&outside, &path).expect("links");
    assert_eq!(found(&cache, &slot("a")), "refused: it is a link");
    assert!(outside.exists(), "what it leads to is not ours to remove");
    fs::hard_link(&outside, &path).expect("links");
    assert!(found(&cache, &slot("a")).contains("not its owner's alone"));
    good();
    fs::set_permissions(&path, Permissions::from_mode(0o620)).expect("a mode");
    assert!(found(&cache, &slot("a")).contains("not its owner's alone"));
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &path,
        FileType::Fifo,
        Mode::from_raw_mode(0o600),
        0,
    )
    .expect("a pipe");
    assert_eq!(found(&cache, &slot("a")), "refused: it is no file");
    fs::create_dir(&path).expect("a folder");
    assert!(found(&cache, &slot("a")).starts_with("refused: "));
    assert!(cache.put(&slot("a"), b"code of a").is_err());
}

#[test]
fn a_folder_that_others_may_write_to_is_not_used() {
    let (folder, cache) = cache(10_000);
    let path = cache.path().to_owned();
    fs::set_permissions(&path, Permissions::from_mode(0o770)).expect("a mode");
    let Err(error) = CodeCache::open(&path, key(1), 10_000) else {
        panic!("should be refused");
    };
    assert!(error.to_string().contains("chmod 700"), "{error}");
    fs::set_permissions(&path, Permissions::from_mode(0o700)).expect("a mode");
    let link = folder.path().join("link");
    symlink(&path, &link).expect("links");
    assert!(CodeCache::open(&link, key(1), 10_000).is_err());
    assert!(CodeCache::open(&path, key(1), 10_000).is_ok());
}

#[test]
fn what_was_not_used_for_longest_goes_first() {
    let size = CODE_AT as u64 + 100;
    let (_folder, cache) = cache(3 * size);
    let code = [7; 100];
    for (name, used) in [("a", 1), ("b", 2), ("c", 3)] {
        cache.put(&slot(name), &code).expect("writes");
        set_used(&cache, name, used);
    }
    // Finding it is using it.
    assert!(matches!(cache.find(&slot("a")), Found::Code(_)));
    cache.put(&slot("d"), &code).expect("writes");
    let is_there = |name: &str| matches!(cache.find(&slot(name)), Found::Code(_));
    assert_eq!(
        ["a", "b", "c", "d"].map(is_there),
        [true, false, true, true]
    );
    let all: u64 = cache
        .entries()
        .expect("reads")
        .iter()
        .map(|e| e.bytes)
        .sum();
    assert_eq!(all, 3 * size);

    cache
        .put(&slot("huge"), &vec![7; 10_000])
        .expect("is left out");
    assert!(!is_there("huge") && is_there("d"));
    assert_eq!(cache.clear().expect("clears"), 3);
    assert_eq!(cache.entries().expect("reads"), []);
}

fn set_used(cache: &CodeCache, name: &str, secs: u64) {
    let file = File::open(cache.path().join(slot(name).name())).expect("a file");
    let at = std::time::UNIX_EPOCH + std::time::Duration::from_secs(secs);
    file.set_modified(at).expect("sets it");
}

#[test]
fn what_somebody_left_unfinished_is_written_over_and_strangers_stay() {
    let (_folder, cache) = cache(10_000);
    let name = slot("a").name();
    let beside = cache.path().join(name.replace(SUFFIX, UNFINISHED));
    fs::write(&beside, b"half of").expect("a file");
    fs::write(cache.path().join("README"), b"not ours").expect("a file");
    cache.put(&slot("a"), b"code of a").expect("writes");
    assert_eq!(found(&cache, &slot("a")), "code of a");
    assert!(!beside.exists());
    assert_eq!(cache.clear().expect("clears"), 1);
    assert!(cache.path().join("README").exists());
}
