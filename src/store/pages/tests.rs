//! Pages against a real database: nothing twice, nothing lost, in any order and direction.

use sqlx::SqlitePool;
use sqlx::sqlite::SqlitePoolOptions;

use super::*;
use crate::store::views::TaskView;

const WORKSPACE: &str = "WS00000000000000000000000000000001";

async fn database() -> SqlitePool {
    let pool = SqlitePoolOptions::new().max_connections(1).connect("sqlite::memory:").await.unwrap();
    crate::store::migrations::apply(&mut pool.acquire().await.unwrap()).await.unwrap();
    pool
}

async fn add_task(pool: &SqlitePool, number: i64, priority: i64, created_at: i64) {
    sqlx::query(
        "INSERT INTO tasks VALUES ($1, $2, '{}', 'pending', $3, 60, NULL, 'TC', NULL, NULL, NULL, 1, 'direct', 0, 0, \
         $4, NULL, 0, 0, '[]', 0, NULL, NULL, $4, $4, NULL, 0)",
    )
    .bind(format!("WT{number:032x}"))
    .bind(WORKSPACE)
    .bind(priority)
    .bind(created_at)
    .execute(pool)
    .await
    .unwrap();
}

fn tasks(keys: &[(&'static str, Direction)]) -> Select<TaskView> {
    let select = Select::new().filter("t.workspace_sid = ?", WORKSPACE);
    keys.iter().fold(select, |select, (column, direction)| select.order(column, *direction))
}

fn numbers(list: &List<TaskView>) -> Vec<i64> {
    list.entries.iter().map(|entry| i64::from_str_radix(&entry.row.sid[2..], 16).unwrap()).collect()
}

/// Walks the whole list in pages of two, forwards and back.
async fn check(keys: &[(&'static str, Direction)], expected: &[i64]) {
    let pool = database().await;
    for (number, priority, created_at) in [(1, 5, 10), (2, 0, 20), (3, 5, 20), (4, 0, 20), (5, 9, 30)] {
        add_task(&pool, number, priority, created_at).await;
    }
    let mut seek = Seek::First;
    let mut found = Vec::new();
    let last_before = loop {
        let list = tasks(keys).page(&pool, Span { seek, limit: 2 }).await.unwrap();
        found.extend(numbers(&list));
        match list.after {
            Some(cursor) => seek = Seek::After(cursor),
            None => break list.before,
        }
    };
    assert_eq!(found, expected, "forwards by {keys:?}");

    let mut back = Vec::new();
    let mut before = last_before;
    while let Some(cursor) = before {
        let list = tasks(keys).page(&pool, Span { seek: Seek::Before(cursor), limit: 2 }).await.unwrap();
        assert_eq!(list.after, list.entries.last().map(|entry| entry.at.clone()));
        back.splice(0..0, numbers(&list));
        before = list.before;
    }
    assert_eq!(back, expected[..4], "backwards by {keys:?}");
}

#[tokio::test]
async fn pages_join_up_in_every_order() {
    let (up, down) = (Direction::Ascending, Direction::Descending);
    check(&[], &[1, 2, 3, 4, 5]).await;
    check(&[("t.created_at", up)], &[1, 2, 3, 4, 5]).await;
    check(&[("t.created_at", down)], &[5, 4, 3, 2, 1]).await;
    check(&[("t.priority", down)], &[5, 3, 1, 4, 2]).await;
    check(&[("t.priority", up), ("t.created_at", up)], &[2, 4, 1, 3, 5]).await;
    check(&[("t.priority", down), ("t.created_at", down)], &[5, 3, 1, 4, 2]).await;
    check(&[("t.priority", down), ("t.created_at", up)], &[5, 1, 3, 2, 4]).await;
    check(&[("t.priority", up), ("t.created_at", down)], &[4, 2, 3, 1, 5]).await;
}

#[tokio::test]
async fn several_lists_of_one_order_are_paged_as_one() {
    let pool = database().await;
    for number in 1..=9 {
        add_task(&pool, number, number % 3, 10 - number).await;
    }
    let keys = [("t.created_at", Direction::Ascending)];
    let of = |priority: i64| tasks(&keys).filter_number("t.priority = ?", priority);
    let merged = |seek| Select::merged(vec![of(0), of(1)], &pool, Span { seek, limit: 2 });
    let mut found = Vec::new();
    let mut list = merged(Seek::First).await.unwrap();
    while let Some(cursor) = list.after.clone() {
        found.extend(numbers(&list));
        list = merged(Seek::After(cursor)).await.unwrap();
    }
    found.extend(numbers(&list));
    assert_eq!(found, [9, 7, 6, 4, 3, 1]);
    let back = merged(Seek::Before(list.before.unwrap())).await.unwrap();
    assert_eq!(numbers(&back), [6, 4]);
}

#[tokio::test]
async fn rows_that_come_meanwhile_neither_repeat_nor_hide_others() {
    let pool = database().await;
    for number in [10, 20, 30] {
        add_task(&pool, number, 0, number).await;
    }
    let keys = [("t.created_at", Direction::Ascending)];
    let first = tasks(&keys).page(&pool, Span { seek: Seek::First, limit: 2 }).await.unwrap();
    assert_eq!(numbers(&first), [10, 20]);
    add_task(&pool, 5, 0, 5).await;
    add_task(&pool, 25, 0, 25).await;
    let second = Span { seek: Seek::After(first.after.unwrap()), limit: 2 };
    assert_eq!(numbers(&tasks(&keys).page(&pool, second).await.unwrap()), [25, 30]);
}

#[tokio::test]
async fn a_page_number_skips_rows_and_the_last_page_has_no_next() {
    let pool = database().await;
    for number in 1..=4 {
        add_task(&pool, number, 0, number).await;
    }
    let keys = [("t.created_at", Direction::Ascending)];
    let list = tasks(&keys).page(&pool, Span { seek: Seek::Skip(2), limit: 2 }).await.unwrap();
    assert_eq!(numbers(&list), [3, 4]);
    assert_eq!(list.after, None);
    assert!(list.before.is_some());
    let beyond = tasks(&keys).page(&pool, Span { seek: Seek::Skip(9), limit: 2 }).await.unwrap();
    assert!(beyond.entries.is_empty() && beyond.before.is_none() && beyond.after.is_none());
}

#[tokio::test]
async fn values_are_bound_and_never_part_of_the_sql() {
    let pool = database().await;
    add_task(&pool, 1, 0, 1).await;
    let hostile = "pending' OR '1'='1";
    let list = tasks(&[]).filter("t.status = ?", hostile).page(&pool, Span { seek: Seek::First, limit: 2 }).await;
    assert!(list.unwrap().entries.is_empty());
    let list = tasks(&[]).filter_any("t.status", &["pending", hostile]);
    assert_eq!(numbers(&list.page(&pool, Span { seek: Seek::First, limit: 2 }).await.unwrap()), [1]);
}
