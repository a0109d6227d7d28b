//! Callbacks of the phone system that wait to be passed on to applications.
//!
//! They are written with the batch of what they tell; here they are found after a start and removed when they are over.
//! Start with [`Store::relays`].

use super::load::all;
use super::rows::Change;
use super::statements::{RELAYS, Value};
use super::work::Work;
use super::{Error, RelayRow, Store};

impl Store {
    /// All that wait, each task's in order.
    pub async fn relays(&self) -> Result<Vec<RelayRow>, Error> {
        self.read(|connection| all(connection, "ORDER BY created_at, task_sid, number", &[])).await
    }

    /// One is over: taken, or given up.
    pub async fn relay_is_over(&self, row: &RelayRow) -> Result<(), Error> {
        let key = vec![Value::of(row.workspace), Value::of(row.task), row.number.into()];
        self.write(Work::of_removals(vec![Change::delete(&RELAYS, key)])).await
    }
}
