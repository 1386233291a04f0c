//! `millpond emulator`.

use std::time::Duration;

use millpond::ErrorKind;
use millpond_emulator::{
    Emulator, EmulatorBuilder, FaultScript, FaultScriptError, RunningEmulator, StartError,
};

use crate::args::EmulatorArgs;
use crate::failure::Failure;
use crate::{console, runtime, signals};

/// Serves tables until a signal, which is how a server is meant to end.
pub(crate) fn emulator(args: &EmulatorArgs) -> Result<(), Failure> {
    runtime::block_on(None, async {
        let running = builder(args)?.start().await.map_err(refused)?;
        console::print(&format!(
            "serving {} at {}\nuse it with: --emulator {} (Ctrl-C ends it)\n",
            args.data.display(),
            running.endpoint(),
            running.endpoint()
        ));
        serve_until_signal(running).await
    })
}

/// The server the arguments describe.
fn builder(args: &EmulatorArgs) -> Result<EmulatorBuilder, Failure> {
    let mut builder = Emulator::builder()
        .data_dir(&args.data)
        .port(args.port)
        .session_lifetime(Duration::from_secs(args.session_life))
        .keep_messages(args.keep_messages.as_u64());
    if let Some(streams) = args.streams {
        builder = builder.streams(streams);
    }
    if let Some(percent) = args.skew {
        builder = builder.skew_percent(percent);
    }
    if let Some(size) = args.message_size {
        builder = builder.message_bytes(usize::try_from(size.as_u64()).unwrap_or(usize::MAX));
    }
    if let Some(directory) = &args.buckets {
        builder = builder.buckets(directory);
    }
    if let Some(script) = script(args)? {
        builder = builder.faults(script);
    }
    Ok(builder)
}

/// The fault script asked for: from a file, or drawn from a seed and then printed.
fn script(args: &EmulatorArgs) -> Result<Option<FaultScript>, Failure> {
    let invalid = |what: &str, error: FaultScriptError| {
        Failure::new(ErrorKind::Config, format!("{what}: {error}"))
    };
    if let Some(path) = &args.faults {
        let text = std::fs::read_to_string(path).map_err(|e| {
            Failure::new(
                ErrorKind::Config,
                format!("cannot read the fault script {}: {e}", path.display()),
            )
        })?;
        let script = FaultScript::from_yaml(&text)
            .map_err(|e| invalid(&format!("fault script {}", path.display()), e))?;
        return Ok(Some(script));
    }
    let Some(seed) = args.faults_seed else {
        return Ok(None);
    };
    let script = FaultScript::from_seed(seed);
    let text = script
        .to_yaml()
        .map_err(|e| invalid(&format!("fault script of seed {seed}"), e))?;
    console::print(&format!("faults of seed {seed}:\n{text}"));
    Ok(Some(script))
}

/// Waits for a signal, then closes the port.
pub(crate) async fn serve_until_signal(running: RunningEmulator) -> Result<(), Failure> {
    signals::received().await?;
    running.shutdown().await;
    Ok(())
}

/// Why the emulator did not start, and what to change.
pub(crate) fn refused(error: StartError) -> Failure {
    match error {
        StartError::Listen { port, source } if source.kind() == std::io::ErrorKind::AddrInUse => {
            Failure::new(
                ErrorKind::Config,
                format!(
                    "port {port} of 127.0.0.1 is in use, give another --port or 0 for any free one"
                ),
            )
        }
        StartError::Listen { port, source } => Failure::new(
            ErrorKind::Config,
            format!("cannot listen on 127.0.0.1:{port}: {source}"),
        ),
        other => Failure::new(ErrorKind::NotFound, other.to_string()),
    }
}
