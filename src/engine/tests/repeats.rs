//! Requests that their clients may repeat: written with what they changed, and forgotten after a day.

use super::*;

#[tokio::test]
async fn requests_that_may_be_repeated_are_written_with_their_change_and_kept_for_a_day() {
    let bench = Bench::start().await;
    let around = &bench.engine.0.around;
    let store = &around.store;
    let found = async |key: &IdempotencyKey| store.idempotent_request(&key.request, Timestamp(0)).await.unwrap();
    let key = |request: &str| IdempotencyKey { request: request.to_owned(), body: "body".to_owned() };
    let (done, refused) = (key("done"), key("refused"));
    let new = NewWorker { friendly_name: "dana".to_owned(), attributes: "{}".to_owned(), activity: None };
    let create = Request::Routing(Command::CreateWorker(new));
    let reply = bench.engine.send_once(bench.workspace, create.clone(), Some(done.clone())).await.unwrap();
    bench.engine.send_once(bench.workspace, create, Some(refused.clone())).await.unwrap_err();
    let row = found(&done).await.unwrap();
    assert_eq!((row.workspace, row.reply, row.answer, row.at), (bench.workspace, reply, None, bench.clock.now()));
    assert_eq!(found(&refused).await, None, "what was refused changed nothing");

    let sweep = async || retention::sweep(around, Duration::ZERO).await.unwrap();
    bench.clock.advance(Duration::from_hours(24));
    sweep().await;
    assert!(found(&done).await.is_some(), "a day old to the moment");
    bench.clock.advance(Duration::from_millis(1));
    sweep().await;
    assert_eq!(found(&done).await, None);
    bench.assert_agrees().await;
}
