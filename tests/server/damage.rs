//! The database file is damaged while the server runs: it ends with its own exit code rather than answer from it.

use std::io::{Seek as _, SeekFrom, Write as _};

use crate::programs::Programs;

/// The program's exit code for a store that cannot be used any more.
const GAVE_UP: i32 = 3;

/// Bytes of one page; the first one holds the schema, which every connection has in memory.
const PAGE: u64 = 4_096;

#[tokio::test]
async fn a_damaged_page_that_only_a_reader_meets_ends_the_server() {
    let mut programs = Programs::start(1.0).await;
    let floor = programs.furnish().await;
    let attributes = format!("{{\"text\":\"{}\"}}", "x".repeat(2_000));
    for _ in 0..30 {
        let form = [("Attributes", attributes.as_str()), ("WorkflowSid", floor.workflow.as_str())];
        programs.post(&format!("{}/Tasks", floor.base), &form).await;
    }
    // All is in the database file then, and no page of it in the memory of the readers to come.
    assert!(programs.terminate_server().await);
    programs.start_server().await;
    let path = programs.directory.path().join("switchhook.db");
    let length = std::fs::metadata(&path).unwrap().len();
    let mut file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
    file.seek(SeekFrom::Start(PAGE)).unwrap();
    file.write_all(&vec![0xff; usize::try_from(length - PAGE).unwrap()]).unwrap();
    drop(file);
    let answer = programs.try_api(reqwest::Method::GET, &format!("{}/Tasks?PageSize=1000", floor.base), &[]).await;
    // It may be gone before it has answered.
    assert!(answer.is_none_or(|(status, _)| status.is_server_error()));
    assert_eq!(programs.end_of_server().await, Some(GAVE_UP), "{}", programs.logs());
}
