//! The load generator: thousands of Socket.IO clients in one process against one server on
//! loopback, and what they cost it.
//!
//! `tests/bench/run` builds everything, starts Porchlight and the Node peer in turn, calls this
//! program for each and prints one table. By hand: `porchlight-bench idle|fanout|send|cluster --help`.
//!
//! | scenario | question |
//! |---|---|
//! | `idle` | what does a connection that does nothing cost in memory |
//! | `fanout` | what does one delivery cost in CPU, and how late is it |
//! | `send` | how many messages a second are acknowledged, and is any lost, doubled or out of order |
//! | `cluster` | what do rooms cost nodes that host them and nodes that do not, and how late is a message from another node |
//! | `dialect` | what does a dialect's table cost beside a struct written by hand |
//!
//! CPU and memory are those of the whole server process, read from the kernel. The clients share the
//! machine with the server, so that absolute figures are lower bounds; compare only within a run.

mod client;
mod cluster;
mod dialect;
mod fanout;
mod idle;
mod ledger;
mod process;
mod report;
mod rooms;
mod send;
mod steady;
mod table;
mod token;
mod traffic;
mod wire;

use std::{error::Error, path::PathBuf, process::ExitCode};

use clap::{Args, Parser, Subcommand};

/// What every part returns: the text of an error is for the person at the terminal.
type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// Puts load on a Socket.IO chat server on loopback.
#[derive(Parser)]
#[command(name = "porchlight-bench")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Memory of connections that do nothing.
    Idle {
        #[command(flatten)]
        target: Target,
        #[command(flatten)]
        options: idle::Options,
    },
    /// CPU and latency of messages to rooms.
    Fanout {
        #[command(flatten)]
        target: Target,
        #[command(flatten)]
        options: fanout::Options,
    },
    /// Acknowledged messages a second, and their integrity.
    Send {
        #[command(flatten)]
        target: Target,
        #[command(flatten)]
        options: send::Options,
    },
    /// Several nodes with Redis between them.
    Cluster {
        #[command(flatten)]
        options: cluster::Options,
    },
    /// Decoding and encoding by a dialect's table beside structs written by hand; needs no server.
    Dialect {
        #[command(flatten)]
        options: dialect::Options,
    },
    /// Medians of reports, two servers side by side.
    Table {
        /// A file of reports, one JSON object a line, as `--json` prints them.
        file: PathBuf,
    },
}

/// The server under load.
#[derive(Args, Clone)]
struct Target {
    /// Port on 127.0.0.1.
    #[arg(long)]
    port: u16,
    /// Process id, for CPU and memory.
    #[arg(long)]
    pid: u32,
    /// Name in the report.
    #[arg(long, default_value = "server")]
    name: String,
    /// Print the report as one line of JSON.
    #[arg(long)]
    json: bool,
}

impl Target {
    /// A token for `user`, signed with the secret in `BENCH_JWT_SECRET`: an argument would show it
    /// to everyone on the machine.
    fn token(&self, user: &str) -> Outcome<String> {
        let secret = std::env::var("BENCH_JWT_SECRET")
            .map_err(|_| "BENCH_JWT_SECRET must hold the HS256 secret that the server accepts")?;
        token::sign(&secret, user)
    }
}

fn main() -> ExitCode {
    match start(Cli::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("porchlight-bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn start(command: Command) -> Outcome<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let (json, report) = match command {
        Command::Dialect { options } => return dialect::run(&options),
        Command::Table { file } => {
            print!("{}", table::render(&std::fs::read_to_string(file)?)?);
            return Ok(());
        }
        Command::Idle { target, options } => {
            (target.json, runtime.block_on(idle::run(target, options))?)
        }
        Command::Fanout { target, options } => {
            (target.json, runtime.block_on(fanout::run(target, options))?)
        }
        Command::Send { target, options } => {
            (target.json, runtime.block_on(send::run(target, options))?)
        }
        Command::Cluster { options } => (options.json, runtime.block_on(cluster::run(options))?),
    };
    if json {
        println!("{}", serde_json::to_string(&report)?);
    } else {
        print!("{report}");
    }
    if report.intact() {
        Ok(())
    } else {
        Err("messages were lost, doubled, out of order or wrong".into())
    }
}
