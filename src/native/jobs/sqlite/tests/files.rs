//! Files that cannot be used, and what becomes of them: nothing.

use super::*;

/// Why the directory's file is refused, and that it is left as it was.
fn refused(scene: &Scene) -> String {
    let before = fs::read(scene.file()).unwrap();
    let error =
        Sqlite::open(Some(&scene.directory), scene.limits, false).err().expect("it is refused").to_string();
    assert_eq!(fs::read(scene.file()).unwrap(), before, "{error}");
    assert!(error.contains(scene.file().to_str().unwrap()), "{error}");
    assert!(!error.contains('\n'), "{error}");
    error
}

#[test]
fn what_is_not_ours_is_left_alone() {
    let scene = Scene::new("foreign");
    let connection = Connection::open(scene.file()).unwrap();
    connection
        .execute_batch("PRAGMA journal_mode = WAL; CREATE TABLE theirs (x); INSERT INTO theirs VALUES (1)")
        .unwrap();
    assert!(refused(&scene).contains("another program"));
    drop(connection);
    assert!(refused(&scene).contains("another program"));
}

#[test]
fn a_file_of_a_newer_layout_is_left_alone() {
    let scene = Scene::new("newer");
    run(async {
        let store = scene.open();
        submit(&store, "x").await;
        store.close().await;
    });
    Connection::open(scene.file()).unwrap().pragma_update(None, "user_version", 2).unwrap();
    assert!(refused(&scene).contains("newer ounce (layout 2; this one knows 1)"));
}

#[test]
fn a_damaged_file_is_left_alone() {
    let scene = Scene::new("damaged");
    for bytes in [&b"hello"[..], &[7; 5000]] {
        fs::write(scene.file(), bytes).unwrap();
        assert!(refused(&scene).contains("damaged"));
    }
    fs::remove_file(scene.file()).unwrap();
    run(async {
        let store = scene.open();
        submit(&store, "x").await;
        store.close().await;
    });
    let mut bytes = fs::read(scene.file()).unwrap();
    bytes[100..4096].fill(0xff);
    fs::write(scene.file(), bytes).unwrap();
    assert!(refused(&scene).contains("damaged"));
}

#[test]
fn an_empty_file_is_taken() {
    let scene = Scene::new("empty");
    fs::write(scene.file(), []).unwrap();
    run(async { submit(&scene.open(), "x").await });
}

/// The file is made when it is needed; a directory that cannot be used is said then, and tried again.
#[test]
fn a_directory_is_made_but_not_those_above_it() {
    let scene = Scene::new("directory");
    let deep = scene.directory.join("a/b");
    run(async {
        let store = scene.at(Some(&deep));
        let Err(Away(why)) = store.submit(new("x")).await else { panic!("there is no directory a") };
        assert!(why.contains("cannot make the directory") && why.contains("--data-dir"), "{why}");
        assert_eq!(store.get(Uuid::nil()).await, Ok(None));
        fs::create_dir(scene.directory.join("a")).unwrap();
        submit(&store, "x").await;
        assert!(deep.join(file::NAME).exists());
    });
    assert!(Sqlite::open(Some(Path::new("/proc")), scene.limits, false).is_ok());
    assert!(Sqlite::open(Some(Path::new("/proc")), scene.limits, true).is_err());
}

#[test]
fn a_file_that_cannot_be_written_to_is_refused() {
    let scene = Scene::new("readonly");
    run(async {
        let store = scene.open();
        submit(&store, "x").await;
        store.close().await;
    });
    let mut permissions = fs::metadata(scene.file()).unwrap().permissions();
    permissions.set_readonly(true);
    fs::set_permissions(scene.file(), permissions).unwrap();
    if fs::OpenOptions::new().append(true).open(scene.file()).is_ok() {
        eprintln!("SKIPPED a file that cannot be written to: root writes to every file");
        return;
    }
    assert!(refused(&scene).contains("cannot be written to"));
}

#[test]
fn a_full_disk_is_away_and_spoils_nothing() {
    let scene = Scene::new("full-disk");
    run(async {
        let store = scene.open();
        let id = submit(&store, "x").await;
        let narrow = |most: u32| move |work: &mut Work<'_>| work.narrow(most);
        store.ask(Op::Read, narrow(1)).await.unwrap();
        let Err(Away(why)) = store.submit(new(&"x".repeat(60_000))).await else { panic!("there is no room") };
        assert!(why.contains("full: make room") && why.contains("ounce.db"), "{why}");
        assert_eq!(status(&store, id).await, Some(Status::Queued));
        store.ask(Op::Read, narrow(1_000_000)).await.unwrap();
        submit(&store, &"x".repeat(60_000)).await;
        assert_eq!(store.depth().await, Ok(Depth { queued: 2, processing: 0 }));
    });
}

#[test]
fn a_closed_file_is_alone_and_is_opened_no_more() {
    let scene = Scene::new("closed");
    run(async {
        let store = scene.open();
        let id = submit(&store, "x").await;
        assert_eq!(fs::read_dir(&scene.directory).unwrap().count(), 3, "file, log and index");
        store.close().await;
        assert_eq!(fs::read_dir(&scene.directory).unwrap().count(), 1);
        assert_eq!(store.get(id).await, Err(gone()));
        assert_eq!(status(&scene.open(), id).await, Some(Status::Queued));
    });
}
