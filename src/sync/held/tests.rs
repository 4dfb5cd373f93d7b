use super::*;

#[test]
fn guards_on_several_places_are_told_apart() {
    let places = [Place(1), Place(2), Place(3)];
    for round in 0..3 {
        for place in places {
            assert!(!is_counted(place));
            add(place);
            add(place);
        }
        // In an order of its own each round, so that every place is once the first to end.
        for turn in 0..3 {
            let place = places[(round + turn) % 3];
            remove(place);
            assert!(is_counted(place));
            remove(place);
            assert!(!is_counted(place));
        }
    }
}

#[test]
fn as_many_are_to_be_removed_as_were_added() {
    let places = [Place(1), Place(2), Place(3)];
    for place in places {
        for count in 1..=5 {
            add(place);
            assert!(is_counted(place), "{count}");
        }
    }
    // What is not noted there is not taken from another.
    remove(Place(9));
    for place in places {
        for left in (0..5).rev() {
            remove(place);
            assert_eq!(is_counted(place), left != 0);
        }
    }
    // The others' list holds memory only while it is used.
    OTHERS.with(|others| assert_eq!(others.borrow().capacity(), 0));
}

#[test]
fn a_place_and_a_count_are_of_one_process() {
    for epoch in [0, 1, 7, u32::MAX] {
        let place = Place(tagged(epoch, 5));
        assert!(place.is_of(epoch));
        assert!(!place.is_of(epoch ^ 1));
        for count in [0, 1, 6, u32::MAX] {
            assert_eq!(count_of(tagged(epoch, count), epoch), count);
            assert_eq!(count_of(tagged(epoch, count), epoch ^ 2), 0);
        }
    }
}

#[test]
fn a_home_is_one_threads_until_it_leaves() {
    let home = Home::default();
    let epoch = fork::epoch();
    let elsewhere = |work: &(dyn Fn() + Sync)| std::thread::scope(|scope| drop(scope.spawn(work)));
    assert!(!home.is_mine());
    home.settle();
    assert!(home.is_mine());
    home.set(epoch, 2);
    assert_eq!(home.count(epoch), 2);
    assert_eq!(home.count(epoch ^ 1), 0);
    assert!(home.any() && any(Place(5), &home));
    elsewhere(&|| {
        assert!(!home.is_mine() && !home.any());
        // Neither takes it from who has it.
        home.settle();
        home.leave();
        assert!(!home.is_mine());
    });
    assert!(home.is_mine());
    home.set(epoch, 0);
    assert!(!home.any() && !any(Place(5), &home));
    add(Place(5));
    assert!(any(Place(5), &home) && !any(Place(6), &home));
    remove(Place(5));
    home.leave();
    assert!(!home.is_mine());
    elsewhere(&|| {
        home.settle();
        assert!(home.is_mine());
    });
}

#[test]
fn guards_on_one_place_at_a_time_need_no_list() {
    for place in [Place(1), Place(2)] {
        add(place);
        add(place);
        assert!(is_counted(place));
        OTHERS.with(|others| assert_eq!(others.borrow().capacity(), 0));
        remove(place);
        remove(place);
        assert!(!is_counted(place));
    }
}
