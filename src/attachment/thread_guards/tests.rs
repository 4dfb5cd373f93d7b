use super::*;

#[test]
fn guards_on_several_places_are_told_apart() {
    let ids = [
        AttachmentId::new(0, 1),
        AttachmentId::new(0, 2),
        AttachmentId::new(0, 3),
    ];
    for round in 0..3 {
        for attachment_id in ids {
            assert!(!is_counted(attachment_id));
            add(attachment_id);
            add(attachment_id);
        }
        // In an order of its own each round, so that every place is once the first to end.
        for turn in 0..3 {
            let attachment_id = ids[(round + turn) % 3];
            remove(attachment_id);
            assert!(is_counted(attachment_id));
            remove(attachment_id);
            assert!(!is_counted(attachment_id));
        }
    }
}

#[test]
fn as_many_are_to_be_removed_as_were_added() {
    let ids = [
        AttachmentId::new(0, 1),
        AttachmentId::new(0, 2),
        AttachmentId::new(0, 3),
    ];
    for attachment_id in ids {
        for count in 1..=5 {
            add(attachment_id);
            assert!(is_counted(attachment_id), "{count}");
        }
    }
    // What is not noted there is not taken from another.
    remove(AttachmentId::new(0, 9));
    for attachment_id in ids {
        for left in (0..5).rev() {
            remove(attachment_id);
            assert_eq!(is_counted(attachment_id), left != 0);
        }
    }
    // The others' list holds memory only while it is used.
    OTHERS.with(|others| assert_eq!(others.borrow().capacity(), 0));
}

#[test]
fn a_place_is_of_one_process() {
    for epoch in [0, 1, 7, u32::MAX] {
        let attachment_id = AttachmentId::new(epoch, 5);
        assert!(attachment_id.is_of(epoch));
        assert!(!attachment_id.is_of(epoch ^ 1));
    }
}

#[test]
fn a_home_is_one_threads_until_it_leaves() {
    let registered = RegisteredThread::default();
    let epoch = fork::epoch();
    let elsewhere = |work: &(dyn Fn() + Sync)| std::thread::scope(|scope| drop(scope.spawn(work)));
    assert!(!registered.is_mine(fork::epoch()));
    registered.register();
    assert!(registered.is_mine(fork::epoch()));
    registered.set(epoch, 2);
    assert_eq!(registered.count(epoch), 2);
    assert_eq!(registered.count(epoch ^ 1), 0);
    assert!(registered.any() && any(AttachmentId::new(0, 5), &registered));
    elsewhere(&|| {
        assert!(!registered.is_mine(fork::epoch()) && !registered.any());
        // Neither takes it from the thread that has it.
        registered.register();
        registered.unregister();
        assert!(!registered.is_mine(fork::epoch()));
    });
    assert!(registered.is_mine(fork::epoch()));
    registered.set(epoch, 0);
    assert!(!registered.any() && !any(AttachmentId::new(0, 5), &registered));
    add(AttachmentId::new(0, 5));
    assert!(
        any(AttachmentId::new(0, 5), &registered) && !any(AttachmentId::new(0, 6), &registered)
    );
    remove(AttachmentId::new(0, 5));
    registered.unregister();
    assert!(!registered.is_mine(fork::epoch()));
    elsewhere(&|| {
        registered.register();
        assert!(registered.is_mine(fork::epoch()));
    });
}

#[test]
fn guards_on_one_place_at_a_time_need_no_list() {
    for attachment_id in [AttachmentId::new(0, 1), AttachmentId::new(0, 2)] {
        add(attachment_id);
        add(attachment_id);
        assert!(is_counted(attachment_id));
        OTHERS.with(|others| assert_eq!(others.borrow().capacity(), 0));
        remove(attachment_id);
        remove(attachment_id);
        assert!(!is_counted(attachment_id));
    }
}

#[test]
fn a_home_inherited_from_a_parent_is_nobodys() {
    let epoch = fork::epoch();
    // As a forked child finds it, whose thread has got the token of its parent's.
    let token = thread::token();
    let inherited = || {
        let registered = RegisteredThread::default();
        registered.thread.claim(epoch ^ 1, token);
        registered.set(epoch ^ 1, 3);
        registered
    };
    let registered = inherited();
    assert!(!registered.is_mine(epoch) && !registered.any());
    registered.unregister();
    assert!(registered.thread.is(epoch ^ 1, token));
    registered.register();
    assert!(registered.is_mine(epoch) && !registered.any());
    assert_eq!(registered.count(epoch), 0);
    // Of the child's threads, the first settles.
    let registered = inherited();
    std::thread::scope(|scope| {
        scope.spawn(|| registered.register());
    });
    registered.register();
    assert!(!registered.is_mine(epoch));
}
