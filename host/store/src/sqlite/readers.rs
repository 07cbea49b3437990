//! The connections that read.
//!
//! A few, because each pins a place in the write-ahead log while it reads; on blocking threads, because reading waits
//! for the disk. A read is bounded by the database's own steps, not by a clock: the same question gives up at the
//! same place on every machine.
//!
//! Some places are kept for what is found by its key. Lists are what people look at and may take long; ingress, worker
//! and sender wait for keys, and must not wait for people.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::Connection;
use tokio::sync::Semaphore;

use crate::contract::{StoreError, StoreResult};
use crate::sqlite::schema;
use crate::sqlite::statement::Sql;

/// Connections that read at the same time.
const READERS: usize = 4;

/// How many of them may make lists.
const LISTERS: usize = 2;

/// Steps of the database's virtual machine between two looks at the budget.
const STEPS_PER_LOOK: i32 = 100_000;

/// Looks after which a read is given up: 50 million steps, about half a second.
const LOOKS_MAX: u32 = 500;

/// The pool.
pub(super) struct Readers {
    free: Arc<Mutex<Vec<Connection>>>,
    places: Arc<Semaphore>,
    lists: Arc<Semaphore>,
}

impl Readers {
    /// Opens all of them.
    pub(super) fn open(path: &Path) -> StoreResult<Readers> {
        let connections = (0..READERS).map(|_| schema::reader(path)).collect::<Sql<Vec<_>>>()?;
        Ok(Readers {
            free: Arc::new(Mutex::new(connections)),
            places: Arc::new(Semaphore::new(READERS)),
            lists: Arc::new(Semaphore::new(LISTERS)),
        })
    }

    /// Makes a list of one consistent state, while not too many others do.
    pub(super) async fn list<T, F>(&self, read: F) -> StoreResult<T>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Sql<T> + Send + 'static,
    {
        let place = self.lists.clone().acquire_owned().await.map_err(|_| StoreError::Closed)?;
        // Who stops waiting for a list does not end it: the place goes with the read.
        let read = move |conn: &Connection| {
            let _place = place;
            read(conn)
        };
        self.call(read).await
    }

    /// Reads one consistent state, found by its key.
    pub(super) async fn call<T, F>(&self, read: F) -> StoreResult<T>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Sql<T> + Send + 'static,
    {
        let place = self.places.clone().acquire_owned().await.map_err(|_| StoreError::Closed)?;
        let free = self.free.clone();
        let task = tokio::task::spawn_blocking(move || {
            let _place = place;
            let taken = free.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let mut conn = taken.ok_or(StoreError::Closed)?;
            let result = bounded(&mut conn, read);
            free.lock().unwrap_or_else(PoisonError::into_inner).push(conn);
            result.map_err(StoreError::from)
        });
        task.await.map_err(|error| StoreError::Failed(error.to_string()))?
    }

    /// Ends reading; reads under way finish.
    pub(super) fn close(&self) {
        self.lists.close();
        self.places.close();
        self.free.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

fn bounded<T>(conn: &mut Connection, read: impl FnOnce(&Connection) -> Sql<T>) -> Sql<T> {
    let mut looks = 0;
    conn.progress_handler(
        STEPS_PER_LOOK,
        Some(move || {
            looks += 1;
            looks > LOOKS_MAX
        }),
    )?;
    // A deferred transaction: everything in it sees one state.
    let transaction = conn.unchecked_transaction()?;
    let result = read(&transaction);
    drop(transaction);
    result
}
