//! The emulator inside the test process.

use std::num::NonZeroU32;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use millpond_emulator::{
    Emulator, EmulatorBuilder, FaultScript, LoggedCall, ManualClock, RunningEmulator,
};
use tokio::runtime::Runtime;

/// 2026-03-01T12:00:00Z, the time on the emulator's clock.
pub const NOW: Duration = Duration::from_secs(1_772_366_400);

/// A served directory of tables; ends when dropped.
pub struct Served {
    runtime: Runtime,
    emulator: Option<RunningEmulator>,
    /// The endpoint, for `--emulator`.
    pub url: String,
}

impl Served {
    /// Serves `data/<project>/<dataset>/<table>/*.parquet` with three streams per session.
    pub fn start(data: &Path) -> Self {
        Self::start_with(data, FaultScript::new())
    }

    /// As [`start`](Self::start), with faults.
    pub fn start_with(data: &Path, faults: FaultScript) -> Self {
        Self::start_as(data, |emulator| emulator.faults(faults))
    }

    /// As [`start_with`](Self::start_with), cut into so many streams and messages of so many bytes.
    pub fn start_cut(data: &Path, streams: u32, message_bytes: usize, faults: FaultScript) -> Self {
        let clock = Arc::new(ManualClock::new(UNIX_EPOCH + NOW));
        Self::start_built(
            Emulator::builder()
                .streams(NonZeroU32::new(streams).unwrap())
                .message_bytes(message_bytes)
                .clock(clock)
                .faults(faults),
            data,
        )
    }

    /// With sessions that live so long by the real clock, cut into eight streams and small messages.
    pub fn start_living(data: &Path, life: Duration, faults: FaultScript) -> Self {
        Self::start_built(
            Emulator::builder()
                .streams(NonZeroU32::new(8).unwrap())
                .message_bytes(32 << 10)
                .session_lifetime(life)
                .faults(faults),
            data,
        )
    }

    /// As [`start`](Self::start), with other settings.
    pub fn start_as(data: &Path, change: impl FnOnce(EmulatorBuilder) -> EmulatorBuilder) -> Self {
        let builder = Emulator::builder()
            .streams(NonZeroU32::new(3).unwrap())
            .message_bytes(64 << 10)
            .clock(Arc::new(ManualClock::new(UNIX_EPOCH + NOW)));
        Self::start_built(change(builder), data)
    }

    fn start_built(builder: EmulatorBuilder, data: &Path) -> Self {
        let runtime = Runtime::new().unwrap();
        let emulator = runtime.block_on(builder.data_dir(data).start()).unwrap();
        Self {
            url: emulator.endpoint(),
            runtime,
            emulator: Some(emulator),
        }
    }
}

impl Served {
    /// What was asked so far.
    pub fn requests(&self) -> Vec<LoggedCall> {
        self.emulator.as_ref().unwrap().requests()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        if let Some(emulator) = self.emulator.take() {
            self.runtime.block_on(emulator.shutdown());
        }
    }
}
