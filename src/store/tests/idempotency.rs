//! Requests that may be repeated: kept in the commit of their change, with their answers, and for a limited time.

use super::*;
use crate::store::{IdempotencyKey, IdempotentRequest, KeptAnswer};

fn request(number: u32, at: i64) -> IdempotentRequest {
    IdempotentRequest {
        key: IdempotencyKey { request: format!("request {number}"), body: format!("body {number}") },
        workspace: workspace_sid(1),
        reply: Reply::Task(TaskSid::from_bits(u128::from(number))),
        answer: None,
        at: Timestamp(at),
    }
}

fn batch(expected: u64, requests: &[IdempotentRequest]) -> Batch {
    Batch { idempotent_requests: requests.to_vec(), ..Batch::empty(workspace_sid(1), expected) }
}

async fn found(store: &Store, number: u32) -> Option<IdempotentRequest> {
    store.idempotent_request(&format!("request {number}"), Timestamp(0)).await.unwrap()
}

#[tokio::test]
async fn a_request_is_there_with_its_change_and_without_it_not() {
    let (_directory, store, _) = store_with_workspace().await;
    assert!(matches!(store.append(batch(7, &[request(1, 10)])).await, Err(Error::Fenced { .. })));
    assert_eq!(found(&store, 1).await, None);
    store.append(batch(1, &[request(1, 10), request(2, 10)])).await.unwrap();
    assert_eq!(found(&store, 1).await, Some(request(1, 10)));
    assert_eq!(store.idempotent_request("request 1", Timestamp(9)).await.unwrap(), Some(request(1, 10)));
    assert_eq!(store.idempotent_request("request 1", Timestamp(10)).await.unwrap(), None, "too old");
}

#[tokio::test]
async fn an_answer_comes_back_byte_for_byte_until_its_token_is_taken_anew() {
    let (_directory, store, _) = store_with_workspace().await;
    store.append(batch(1, &[request(1, 10)])).await.unwrap();
    let body = format!("{{\"a\": 1,\n\"b\":\"{ODD}\"}} ");
    let answer = KeptAnswer { status: 201, etag: Some("\"0\"".to_owned()), body };
    let answered = IdempotentRequest { answer: Some(answer), ..request(1, 10) };
    store.keep_idempotent_request(answered.clone()).await.unwrap();
    assert_eq!(found(&store, 1).await, Some(answered));
    let anew = IdempotentRequest { reply: Reply::Done, ..request(1, 20) };
    store.append(batch(1, std::slice::from_ref(&anew))).await.unwrap();
    assert_eq!(found(&store, 1).await, Some(anew), "nothing of the old answer");
}

#[tokio::test]
async fn old_requests_go_in_portions() {
    let (_directory, store, _) = store_with_workspace().await;
    let requests: Vec<_> = (0..10).map(|number| request(number, number.into())).collect();
    store.append(batch(1, &requests)).await.unwrap();
    let forget = async || store.forget_idempotent_requests(Timestamp(7), 5).await.unwrap();
    assert_eq!((forget().await, count(&store, "idempotent_requests").await), (5, 5));
    assert_eq!((forget().await, forget().await), (2, 0));
    assert_eq!((found(&store, 6).await, found(&store, 7).await), (None, Some(request(7, 7))));
}

#[tokio::test]
async fn requests_go_with_their_workspace() {
    let (_directory, store, _) = store_with_workspace().await;
    store.append(batch(1, &[request(1, 10)])).await.unwrap();
    let removal = Batch { rows: vec![RowChange::WorkspaceDeleted], ..Batch::empty(workspace_sid(1), 1) };
    store.append(removal).await.unwrap();
    assert_eq!(count(&store, "idempotent_requests").await, 0);
    // An answer that comes too late is not found any more, and goes with its day.
    store.keep_idempotent_request(request(1, 10)).await.unwrap();
    assert_eq!(found(&store, 1).await, None);
    assert_eq!(store.forget_idempotent_requests(Timestamp(11), 5).await.unwrap(), 1);
}
