//! Who asks too often is told so in Twilio's words; whoever else asks is served.

use super::*;
use switchhook::http::Limits;

#[tokio::test]
async fn an_account_that_asks_too_often_gets_429_and_no_other_does() {
    let limits = Limits { requests_per_sec: 5, expression_lists_per_sec: 1, ..Limits::default() };
    let server = Server::start_within(Rates::of(&limits)).await;
    let path = "/Workspaces";
    for _ in 0..10 {
        assert_eq!(server.get(path).await.status, StatusCode::OK);
    }
    let refused = server.get(path).await;
    assert_eq!((refused.status.as_u16(), &refused.body["code"]), (429, &json!(20429)), "{}", refused.body);
    assert_eq!(refused.headers["retry-after"], "1");
    let keys = server.get(&format!("/2010-04-01/Accounts/{ACCOUNT}/Keys.json")).await;
    assert_eq!(keys.status.as_u16(), 429, "every kind of request counts");
    assert_eq!(server.call(STRANGER, Method::GET, path, "", None).await.status, StatusCode::OK);
    server.clock.advance(Duration::from_secs(1));
    for _ in 0..5 {
        assert_eq!(server.get(path).await.status, StatusCode::OK);
    }
    assert_eq!(server.get(path).await.status.as_u16(), 429);
    server.stop().await;
}

#[tokio::test]
async fn lists_filtered_by_an_expression_have_a_rate_of_their_own() {
    let limits = Limits { expression_lists_per_sec: 1, ..Limits::default() };
    let server = Server::start_within(Rates::of(&limits)).await;
    let workspace = server.workspace().await;
    server.clock.advance(Duration::from_mins(1));
    let filtered = [
        format!("{workspace}/Tasks?EvaluateTaskAttributes=a%3D%3D1"),
        format!("{workspace}/Workers?TargetWorkersExpression=a%3D%3D1"),
        format!("{workspace}/TaskQueues?EvaluateWorkerAttributes=%7B%22a%22%3A1%7D"),
    ];
    for path in &filtered[..2] {
        let answer = server.get(path).await;
        assert_eq!(answer.status, StatusCode::OK, "{path}: {}", answer.body);
    }
    for path in &filtered {
        assert_eq!(server.get(path).await.status.as_u16(), 429, "{path}");
    }
    for list in ["Tasks", "Workers", "TaskQueues"] {
        assert_eq!(server.get(&format!("{workspace}/{list}")).await.status, StatusCode::OK, "{list}");
    }
    server.stop().await;
}
