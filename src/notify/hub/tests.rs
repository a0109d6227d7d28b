//! Places of sockets, who is told of what, and who is present.

use super::*;
use crate::routing::TaskQueueSid;

fn arrival() -> Arrival {
    Arrival {
        workspace: WorkspaceSid::from_bits(1),
        channel: Channel::Worker(WorkerSid::from_bits(2)),
        dialect: Dialect::Present,
        token: 3,
        key: None,
        close_existing: false,
        connection: Connection::default(),
    }
}

fn of(worker: u128) -> Arrival {
    Arrival { channel: Channel::Worker(WorkerSid::from_bits(worker)), ..arrival() }
}

fn hub(limits: Limits) -> Hub {
    Hub::within(limits, Clock::system(), Duration::ZERO)
}

fn offer(reservation: u128) -> Queued {
    let about = Knowledge::Introduces(ReservationSid::from_bits(reservation));
    Queued { not_before: Clock::system().instant(), text: "{}".into(), about }
}

#[test]
fn an_offer_that_the_first_list_announced_is_not_announced_again() {
    let hub = hub(Limits::default());
    let seat = hub.enter(Arrival { dialect: Dialect::First, ..arrival() }).unwrap();
    hub.reservations_were_read(WorkerSid::from_bits(2), Dialect::First, &[ReservationSid::from_bits(7)]);
    assert!(!seat.admits(&offer(7)));
    assert!(seat.admits(&offer(8)));
    let accepted = Knowledge::Needs(ReservationSid::from_bits(7));
    assert!(seat.admits(&Queued { about: accepted, ..offer(7) }));
}

#[test]
fn an_offer_that_was_listed_before_it_was_told_of_is_announced() {
    let hub = hub(Limits::default());
    let seat = hub.enter(arrival()).unwrap();
    hub.reservations_were_read(WorkerSid::from_bits(2), Dialect::Present, &[ReservationSid::from_bits(7)]);
    assert!(seat.admits(&offer(7)));
}

#[test]
fn an_offer_that_only_another_browser_listed_is_announced() {
    let hub = hub(Limits::default());
    let enter = || hub.enter(Arrival { dialect: Dialect::First, ..arrival() }).unwrap();
    let first = enter();
    hub.reservations_were_read(WorkerSid::from_bits(2), Dialect::First, &[]);
    let second = enter();
    hub.reservations_were_read(WorkerSid::from_bits(2), Dialect::First, &[ReservationSid::from_bits(7)]);
    assert!(first.admits(&offer(7)));
    assert!(!second.admits(&offer(7)));
}

#[test]
fn what_one_sdk_has_read_the_other_has_not() {
    let hub = hub(Limits::default());
    let present = hub.enter(arrival()).unwrap();
    let first = hub.enter(Arrival { dialect: Dialect::First, ..arrival() }).unwrap();
    hub.reservations_were_read(WorkerSid::from_bits(2), Dialect::First, &[ReservationSid::from_bits(7)]);
    assert!(present.admits(&offer(7)));
    assert!(!first.admits(&offer(7)));
    let accepted = Knowledge::Needs(ReservationSid::from_bits(8));
    assert!(!present.admits(&Queued { about: accepted, ..offer(8) }));
}

#[test]
fn a_socket_of_no_worker_has_its_place_and_is_nobodys_presence() {
    let hub = hub(Limits { per_worker: 1, ..Limits::default() });
    let workspace = WorkspaceSid::from_bits(1);
    let of = |channel| Arrival { channel, dialect: Dialect::First, ..arrival() };
    let at_workspace = hub.enter(of(Channel::Workspace(workspace))).unwrap();
    let at_queue = hub.enter(of(Channel::TaskQueue(TaskQueueSid::from_bits(2)))).unwrap();
    assert_eq!(hub.enter(of(Channel::Workspace(workspace))).unwrap_err(), NoPlace::Channel);
    assert_eq!(hub.connected_workers(workspace), 0);
    drop((at_workspace, at_queue));
    assert_eq!(hub.take_presence_changes(10, |_| true), []);
    assert_eq!(hub.open_sockets(), 0);
}

#[test]
fn a_worker_has_so_many_places_and_one_that_leaves_makes_room() {
    let hub = hub(Limits { per_worker: 10, ..Limits::default() });
    let mut seats: Vec<Seat> = (0..10).map(|_| hub.enter(arrival()).unwrap()).collect();
    assert_eq!(hub.has_place(&arrival()), Err(NoPlace::Worker));
    assert_eq!(hub.enter(arrival()).unwrap_err(), NoPlace::Worker);
    assert_eq!(hub.has_place(&of(4)), Ok(()), "others have room");
    seats.pop();
    seats.push(hub.enter(arrival()).unwrap());
    assert_eq!(hub.open_sockets(), 10);
    drop(seats);
    assert_eq!(hub.open_sockets(), 0);
}

#[test]
fn one_that_displaces_the_others_has_a_place_but_they_cannot_pile_up() {
    let hub = hub(Limits { per_worker: 2, ..Limits::default() });
    let displacing = |token| Arrival { token, close_existing: true, ..arrival() };
    let old = [hub.enter(arrival()).unwrap(), hub.enter(Arrival { token: 4, ..arrival() }).unwrap()];
    let third = hub.enter(displacing(5)).unwrap();
    assert!(old.iter().all(|seat| seat.closing() == Some(REPLACED)));
    assert_eq!(third.closing(), None);
    // A displaced one that comes back displaces nobody and finds no place.
    assert_eq!(hub.enter(displacing(4)).unwrap_err(), NoPlace::Worker);
    let _fourth = hub.enter(displacing(6)).unwrap();
    assert_eq!(hub.enter(displacing(7)).unwrap_err(), NoPlace::Worker);
    drop(old);
    assert!(hub.enter(displacing(7)).is_ok());
}

#[test]
fn all_places_together_are_bounded_too() {
    let hub = hub(Limits { total: 3, ..Limits::default() });
    let seats: Vec<Seat> = (2..5).map(|worker| hub.enter(of(worker)).unwrap()).collect();
    assert_eq!(hub.enter(of(6)).unwrap_err(), NoPlace::Node);
    drop(seats);
    assert!(hub.enter(of(6)).is_ok());
}

#[test]
fn presence_is_noted_once_however_often_it_changes_and_is_told_as_it_is_now() {
    let hub = hub(Limits::default());
    let (workspace, worker) = (WorkspaceSid::from_bits(1), WorkerSid::from_bits(2));
    let first = hub.enter(arrival()).unwrap();
    let named = Connection { disconnect_activity: None, keeps_activity: true };
    let second = hub.enter(Arrival { connection: named, ..arrival() }).unwrap();
    assert_eq!(hub.connection_of(worker), Some(named), "the newest one counts");
    drop(second);
    assert_eq!(hub.connection_of(worker), Some(Connection::default()));
    assert_eq!(hub.take_presence_changes(10, |_| true), [(workspace, vec![(worker, Some(named))])]);
    assert_eq!(hub.take_presence_changes(10, |_| true), []);
    drop(first);
    assert_eq!(hub.connection_of(worker), None);
    assert_eq!(hub.take_presence_changes(10, |_| false), [], "what is not wanted stays");
    assert_eq!(hub.take_presence_changes(10, |_| true), [(workspace, vec![(worker, None)])]);
    drop(hub.enter(arrival()).unwrap());
    let taken = hub.take_presence_changes(10, |_| true).remove(0);
    assert_eq!(taken.1, [(worker, Some(Connection::default()))], "one that came and left at once was there");
    drop(hub.enter(Arrival { connection: named, ..arrival() }).unwrap());
    hub.report_again(taken);
    assert_eq!(
        hub.take_presence_changes(10, |_| true),
        [(workspace, vec![(worker, Some(named))])],
        "the newer one counts"
    );
}

#[test]
fn presence_is_taken_in_portions_and_can_be_asked_for_again() {
    let hub = hub(Limits::default());
    let workspace = WorkspaceSid::from_bits(1);
    let seats: Vec<Seat> = (2..7).map(|worker| hub.enter(of(worker)).unwrap()).collect();
    assert_eq!(hub.connected_workers(workspace), 5);
    let taken: Vec<usize> =
        (0..4).map(|_| hub.take_presence_changes(2, |_| true).iter().map(|(_, workers)| workers.len()).sum()).collect();
    assert_eq!(taken, [2, 2, 1, 0]);
    hub.report_all(WorkspaceSid::from_bits(9));
    assert_eq!(hub.take_presence_changes(10, |_| true), []);
    hub.report_all(workspace);
    assert_eq!(hub.take_presence_changes(10, |_| true)[0].1.len(), 5);
    drop(seats);
    assert_eq!(hub.connected_workers(workspace), 0);
}
