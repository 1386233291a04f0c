//! The task that reads a stream's messages ahead of the connection: from the table's rows, or from what was kept of them.
//!
//! Must not know about requests, faults or sessions.

use std::io;
use std::ops::Range;
use std::sync::Arc;

use tokio::sync::mpsc;
use tonic::{Code, Status};

use crate::decode_budget::{DecodeBudget, Ticket};
use crate::file_rows::{FileError, FileRows};
use crate::kept_messages::{KeptMessages, Recording, Rest};
use crate::read_plan::ReadPlan;
use crate::stream_reader::{Message, ReadError, StreamReader};

/// A reader's place in the budget, given up with what was left there.
struct Place {
    budget: Arc<DecodeBudget<FileRows>>,
    ticket: Ticket,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.budget.leave(self.ticket);
    }
}

/// What a reader of the stream is made of.
pub(super) struct Making {
    pub plan: Arc<ReadPlan>,
    pub rows: Range<u64>,
    pub message_bytes: usize,
    pub budget: Arc<DecodeBudget<FileRows>>,
}

impl Making {
    /// A reader from row `offset` of the stream on.
    ///
    /// # Errors
    /// As [`StreamReader::try_new`].
    pub fn reader(&self, offset: u64) -> Result<StreamReader, ReadError> {
        let plan = Arc::clone(&self.plan);
        StreamReader::try_new(plan, self.rows.clone(), offset, self.message_bytes)
    }
}

/// Sends what is kept, one message ahead of the connection; from where that is damaged on, what is read. Ends when the call is
/// dropped.
pub(super) async fn send_kept(
    mut rest: Rest,
    kept: Arc<KeptMessages>,
    making: Making,
    sender: mpsc::Sender<Result<Message, Status>>,
) {
    let Err(error) = forward(&mut rest, &sender).await else {
        return;
    };
    kept.drop_damaged(rest.path(), &error);
    match making.reader(rest.next_row()) {
        Ok(reader) => produce(reader, making.budget, sender, None).await,
        // Nobody is left to be told where the call was dropped.
        Err(error) => drop(sender.send(Err(read_status(&error))).await),
    }
}

async fn forward(
    rest: &mut Rest,
    sender: &mpsc::Sender<Result<Message, Status>>,
) -> io::Result<()> {
    while let Ok(slot) = sender.reserve().await {
        let Some(message) = rest.next_message()? else {
            break;
        };
        slot.send(Ok(message));
        // As after messages that are made.
        tokio::task::yield_now().await;
    }
    Ok(())
}

/// Reads messages, one ahead of the connection. Ends when the call is dropped.
pub(super) async fn produce(
    mut reader: StreamReader,
    budget: Arc<DecodeBudget<FileRows>>,
    sender: mpsc::Sender<Result<Message, Status>>,
    mut recording: Option<Recording>,
) {
    let place = Place {
        ticket: budget.ticket(),
        budget,
    };
    // The slot in the queue is taken first, so that at most one message is made that nobody has asked for.
    while let Ok(slot) = sender.reserve().await {
        let (budget, ticket) = (Arc::clone(&place.budget), place.ticket);
        budget.enter(ticket, reader.decoder_bytes()).await;
        let granted = budget.work(reader.working_bytes()).await;
        // On the threads that compute, not on those for blocking work: these are as many as there are streams, each would keep
        // its own freed memory, and the budget lets no more than a few decode at a time anyway.
        reader.restore_decoder(budget.begin(ticket));
        let next = reader.next_message();
        let made = match &next {
            Ok(Some(message)) => message.body.len() as u64,
            _ => 0,
        };
        budget.end(ticket, made, reader.take_decoder());
        drop(granted);
        match next {
            Ok(Some(message)) => {
                // What does not fit is sent all the same.
                recording = recording.and_then(|recording| recording.add(&message));
                slot.send(Ok(message));
                // The task that was woken by that waits on this very thread, where no other can take it up.
                tokio::task::yield_now().await;
            }
            Ok(None) => {
                if let Some(recording) = recording {
                    recording.finish();
                }
                return;
            }
            Err(error) => {
                slot.send(Err(read_status(&error)));
                return;
            }
        }
    }
}

/// The status of a call whose stream cannot be read on.
pub(super) fn read_status(error: &ReadError) -> Status {
    let code = match error {
        ReadError::OffsetNotAllocated { .. } | ReadError::File(FileError::Changed { .. }) => {
            Code::FailedPrecondition
        }
        ReadError::Filter(_) => Code::InvalidArgument,
        _ => Code::Internal,
    };
    tracing::debug!(error = error as &dyn std::error::Error, "read failed");
    Status::new(code, error.to_string())
}
