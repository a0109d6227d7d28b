//! Legs that nobody wants any more while the phone system is still being asked for them.

use super::*;

/// Asks for a worker's leg, which is not wanted any more as soon as the phone system has seen the first request.
async fn given_up_meanwhile(faults: impl IntoIterator<Item = Fault>) -> (Fake, PhoneOutcome) {
    let (fake, mut phone) = Fake::start(faults).await;
    phone.transport.patience.first_pause = Duration::from_mins(10);
    phone.transport.patience.longest_pause = Duration::from_mins(10);
    let unwanted = CancellationToken::new();
    let give_up = async {
        while fake.posts().is_empty() {
            tokio::task::yield_now().await;
        }
        unwanted.cancel();
    };
    let command = add(ConferenceOptions::default());
    let (outcome, ()) = tokio::join!(phone.execute_while_wanted(id(), &command, false, &unwanted), give_up);
    (fake, outcome)
}

#[tokio::test]
async fn a_leg_that_is_given_up_after_a_refusal_is_not_asked_for_again() {
    for (status, retry_after) in [(429, Some("600")), (429, None), (503, Some("600")), (503, None)] {
        let fault = Fault::Answer(status, json!({"code": 1, "message": "later"}), retry_after);
        let (fake, outcome) = given_up_meanwhile([fault]).await;
        let expected = PhoneOutcome::Refused { code: None, message: NOT_WANTED.to_owned() };
        assert_eq!(outcome, expected, "{status} {retry_after:?}");
        assert_eq!(fake.paths().len(), 1, "nothing was made, so nothing is looked for: {:?}", fake.paths());
    }
}

#[tokio::test]
async fn a_leg_that_is_given_up_after_an_unclear_answer_is_looked_for_and_not_asked_for_again() {
    let (fake, outcome) = given_up_meanwhile([Fault::LoseAnswer]).await;
    assert_eq!(outcome, leg("CA1", Some("CF1")), "it was made, and has to be ended");
    assert_eq!(fake.posts().len(), 1);

    let (fake, outcome) = given_up_meanwhile([Fault::Answer(500, json!({"message": "internal"}), None)]).await;
    assert_eq!(outcome, PhoneOutcome::Unavailable { message: NOT_WANTED.to_owned() });
    assert_eq!(fake.posts().len(), 1);
    let looks = fake.paths().iter().filter(|path| *path == "GET Calls.json").count();
    assert_eq!(looks, 2, "it was looked for, again when the lists had settled: {:?}", fake.paths());
}

#[tokio::test]
async fn a_leg_that_may_have_been_made_before_the_start_is_looked_for_though_nobody_wants_it() {
    let unwanted = CancellationToken::new();
    unwanted.cancel();
    for is_there in [true, false] {
        let (fake, phone) = Fake::start([]).await;
        if is_there {
            let mut switch = fake.0.lock().unwrap();
            (switch.room_open, switch.legs) = (true, vec![(LABEL.to_owned(), "ringing")]);
        }
        let outcome = phone.execute_while_wanted(id(), &add(ConferenceOptions::default()), true, &unwanted).await;
        let expected = if is_there {
            leg("CA1", Some("CF1"))
        } else {
            PhoneOutcome::Unavailable { message: NOT_WANTED.to_owned() }
        };
        assert_eq!(outcome, expected);
        assert!(fake.posts().is_empty());
    }
}
