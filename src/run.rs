//! What each command of the command line does.

use std::{
    fmt::Write as _,
    io::{self, Write as _},
    path::Path,
};

use tokio::runtime::Runtime;

use crate::{
    app::{self, Listeners, StartError},
    chat::Profile,
    cli::{self, Cli, Command, DialectCommand, Failure, TokenArgs},
    config::{Config, ConfigErrors, DEFAULT, Finding, Loaded, Origin, local_secret_file},
    dialect::{self, Checked, Dialect, DialectError},
    seed,
    shutdown::{Shutdown, Stopped},
    store, telemetry,
};

/// Does what the command line asks.
pub fn run(cli: &Cli) -> Result<(), Failure> {
    match cli.command() {
        Command::Serve => serve(cli.load()?),
        Command::CheckConfig => check_config(&cli.load()?),
        Command::DefaultConfig => cli::print(DEFAULT),
        Command::Migrate => migrate(&cli.load()?.config),
        Command::Token(args) => token(cli.load()?.config, args),
        Command::Seed => seed(cli.load()?.config),
        Command::Dialect(DialectCommand::Show { dialect }) => {
            print_dialect(cli, &dialect, Dialect::describe)
        }
        Command::Dialect(DialectCommand::Types { dialect }) => {
            print_dialect(cli, &dialect, Dialect::types)
        }
        Command::Dialect(DialectCommand::Check { file }) => check_dialect(&file),
    }
}

impl From<StartError> for Failure {
    fn from(e: StartError) -> Self {
        if e.is_configuration() {
            let found = Finding {
                key: String::new(),
                origin: Origin::Default,
                problem: e.to_string(),
            };
            return Self::Config(ConfigErrors(vec![found]));
        }
        Self::other(e)
    }
}

fn runtime() -> Result<Runtime, Failure> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(Failure::other)
}

fn serve(loaded: Loaded) -> Result<(), Failure> {
    let config = loaded.config.clone();
    telemetry::init_logging(&config.log).map_err(Failure::other)?;
    for warning in &loaded.warnings {
        tracing::warn!("{warning}");
    }
    runtime()?.block_on(async {
        let failed = |e| match about_dialects(&loaded, &e) {
            Some(found) => ConfigErrors(vec![found]).into(),
            None => Failure::from(e),
        };
        let listeners = Listeners::bind(&config).await?;
        let shutdown = Shutdown::new();
        shutdown.listen_signals().map_err(Failure::other)?;
        let told = welcome(&config);
        let running = app::start(config, listeners, &shutdown)
            .await
            .map_err(failed)?;
        // People read this, programs read the log; whoever closed stdout does not want it.
        let _ = io::stdout().write_all(told.as_bytes());
        match running.wait().await {
            Stopped::Clean => tracing::info!("stopped"),
            Stopped::Late { left } | Stopped::Forced { left } => {
                tracing::warn!(left, "stopped before everything was done");
            }
        }
        Ok(())
    })
}

fn welcome(config: &Config) -> String {
    let server = &config.server;
    let database = store::describe(&config.database.url, &app::database_file(config));
    let mut text = format!("Porchlight {}\n", env!("CARGO_PKG_VERSION"));
    for socket in &config.socket {
        let (path, dialect) = (&socket.path, &socket.dialect);
        let _ = writeln!(
            text,
            "  clients    http://{}{path} ({dialect})",
            server.listen
        );
    }
    let _ = writeln!(
        text,
        "  operators  http://{}/health /ready /metrics",
        server.ops_listen
    );
    let _ = writeln!(text, "  database   {database}");
    if app::demo_enabled(config) {
        let _ = writeln!(text, "  demo       http://{}/demo", server.listen);
    }
    text + "  a token    porchlight token --user alice --name \"Alice\"\n"
}

fn check_config(loaded: &Loaded) -> Result<(), Failure> {
    let further = match app::dialects(&loaded.config) {
        Ok(_) => Vec::new(),
        Err(e) => about_dialects(loaded, &e).into_iter().collect(),
    };
    cli::print(&cli::check_config(loaded, further)?)
}

/// A failure that is about dialects, with the origin of the key that led to it.
fn about_dialects(loaded: &Loaded, e: &StartError) -> Option<Finding> {
    match e {
        StartError::UnknownDialect { index, .. } => {
            Some(loaded.finding(&format!("socket[{index}].dialect"), e.to_string()))
        }
        StartError::UnknownNodeDialect { .. } => {
            Some(loaded.finding("emitters.node_dialect", e.to_string()))
        }
        StartError::Dialects(_) => Some(loaded.finding("dialects.dir", e.to_string())),
        _ => None,
    }
}

fn migrate(config: &Config) -> Result<(), Failure> {
    let file = app::database_file(config);
    runtime()?
        .block_on(store::migrate(&config.database, &file))
        .map_err(Failure::other)?;
    cli::print(&format!(
        "{} is up to date",
        store::describe(&config.database.url, &file)
    ))
}

fn token(mut config: Config, args: TokenArgs) -> Result<(), Failure> {
    let profile = Profile {
        name: args.name.as_deref().unwrap_or(args.user.as_str()).into(),
        email: args.email.map(Into::into),
        avatar: args.avatar.map(Into::into),
        id: args.user,
    };
    let ttl = args.ttl.unwrap_or(config.auth.socket_token_ttl);
    if !config.auth.has_verifier() {
        let file = local_secret_file(&config.server.data_dir);
        let file = std::path::absolute(&file).unwrap_or(file);
        // For people; where standard error is closed nobody reads it.
        let _ = writeln!(
            io::stderr(),
            "porchlight: no secret is configured, so this token is signed with the one in {}",
            file.display()
        );
    }
    let auth = app::authenticator(&mut config)?;
    cli::print(&auth.mint(&profile, ttl).map_err(Failure::other)?.token)
}

fn seed(config: Config) -> Result<(), Failure> {
    runtime()?.block_on(async {
        let (chat, store) = app::open_chat(&config).await?;
        let told = seed::seed(&chat).await;
        store.close().await;
        cli::print(&told.map_err(Failure::other)?)
    })
}

fn checked(file: &Path) -> Result<Checked, Failure> {
    let mistakes = |errors: Vec<DialectError>| errors.iter().map(ToString::to_string).collect();
    dialect::check_file(file).map_err(|e| Failure::Mistakes(mistakes(e)))
}

fn check_dialect(file: &Path) -> Result<(), Failure> {
    let checked = checked(file)?;
    let mut text = format!("OK\n{}", checked.dialect.describe());
    for remark in checked.remarks {
        let _ = writeln!(text, "remark: {remark}");
    }
    cli::print(&text)
}

fn print_dialect(cli: &Cli, dialect: &str, print: fn(&Dialect) -> String) -> Result<(), Failure> {
    // No name has a dot or a slash.
    if dialect.contains(['.', '/']) {
        return cli::print(&print(&checked(Path::new(dialect))?.dialect));
    }
    let config = cli.load()?.config;
    let dialects = app::dialects(&config)?;
    match dialects.get(dialect) {
        Some(dialect) => cli::print(&print(&dialect)),
        None => Err(Failure::other(format!(
            "there is no dialect \"{dialect}\", only {}",
            dialects.known()
        ))),
    }
}
