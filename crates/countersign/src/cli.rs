//! The command line as a whole.

use clap::{CommandFactory as _, Parser, Subcommand};
use clap_complete::Shell;

use crate::commands::{
    access_token, account, audit, backup, config, jwt, migrate, organization, restore, service_token, verify,
};
use crate::config::ConfigArgs;
use crate::failure::{EXIT_CODES, Failure};
use crate::{output, serve};

/// The whole command line.
#[derive(Debug, Parser)]
#[command(
    name = "countersign",
    version,
    about = "A self-hosted token authority: issues, rotates, revokes and verifies machine credentials",
    after_help = EXIT_CODES,
    arg_required_else_help = true,
    propagate_version = false
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Command,
}

/// What can be done.
#[derive(Debug, Subcommand)]
enum Command {
    /// Run the server
    #[command(after_help = SERVE_HELP)]
    Serve(ConfigArgs),
    /// Look at the configuration
    #[command(subcommand)]
    Config(config::Command),
    /// Look after the root account; a server with the embedded store must be stopped
    #[command(subcommand)]
    Root(RootCommand),
    /// Look after the keys that sign tokens, where nodes share a database
    #[command(subcommand)]
    Keys(KeysCommand),
    /// Issue, rotate, revoke … the credentials that machines show at doors
    #[command(subcommand)]
    ServiceToken(service_token::Command),
    /// Make, list, stop, end … the accounts that own tokens
    #[command(subcommand)]
    Account(account::Command),
    /// Make organizations, and say who belongs to them
    #[command(subcommand)]
    Organization(organization::Command),
    /// Issue, list, revoke the tokens that APIs are called with
    #[command(subcommand)]
    AccessToken(access_token::Command),
    /// Ask whether a door would take a credential
    #[command(after_help = verify::EXAMPLES)]
    Verify(verify::VerifyArgs),
    /// Get short-lived signed tokens, and look at them as services do that check by themselves
    #[command(subcommand)]
    Jwt(jwt::Command),
    /// Show what was done, by whom, to what
    Audit(audit::AuditArgs),
    /// Write everything that the store holds into a file, also while servers use it
    Backup(backup::BackupArgs),
    /// Make the store what it was when a backup was taken, without what has ended since; the server must be stopped
    #[command(after_help = restore::HELP)]
    Restore(restore::RestoreArgs),
    /// Move an embedded store into an empty PostgreSQL; the server must be stopped
    Migrate(migrate::MigrateArgs),
    /// Print a script that completes this command line in a shell
    Completions {
        /// For which shell
        shell: Shell,
    },
}

/// What can be done with the root account.
#[derive(Debug, Subcommand)]
enum RootCommand {
    /// End the root token and make a new one. It goes to standard output, alone and once
    Reset(ConfigArgs),
}

/// What can be done with the signing keys.
#[derive(Debug, Subcommand)]
enum KeysCommand {
    /// Remove those that COUNTERSIGN_KEY_FILE does not open, because the key that did is lost; servers must be stopped, and make new ones
    Reset(ConfigArgs),
}

const SERVE_HELP: &str = "\
A flag beats its environment variable, a variable beats the file, the file beats
the default. `countersign config show` prints every key; each has a variable,
such as COUNTERSIGN_LIMITS_MAX_DURATION. A variable that begins with COUNTERSIGN_
and is not known is refused.

The root account is configured in the environment alone:
  COUNTERSIGN_ROOT_ACCOUNT_ID  its id, 32 lower-case hex digits [default: made]
  COUNTERSIGN_ROOT_EMAIL       its e-mail [default: root@localhost]
  COUNTERSIGN_ROOT_TOKEN       its token, 32 to 128 of A-Z a-z 0-9 _ -
  COUNTERSIGN_ROOT_TOKEN_FILE  a file that holds the token
Without a token the first start makes one and shows it on the terminal, once;
where there is no terminal, it is in <data>/root-token.

SIGTERM ends the server in order: /readyz answers 503 for `shutdown_delay`,
requests finish, what is pending is written.";

impl Cli {
    /// Does it.
    pub(crate) fn run(self) -> Result<(), Failure> {
        match self.command {
            Command::Serve(args) => Ok(serve::serve(&args)?),
            Command::Config(command) => command.run(),
            Command::Root(RootCommand::Reset(args)) => Ok(serve::reset_root(&args)?),
            Command::Keys(KeysCommand::Reset(args)) => Ok(serve::reset_keys(&args)?),
            Command::ServiceToken(command) => command.run(),
            Command::Account(command) => command.run(),
            Command::Organization(command) => command.run(),
            Command::AccessToken(command) => command.run(),
            Command::Verify(args) => verify::verify(&args),
            Command::Jwt(command) => command.run(),
            Command::Audit(args) => audit::audit(&args),
            Command::Backup(args) => Ok(backup::backup(&args)?),
            Command::Restore(args) => restore::restore(&args),
            Command::Migrate(args) => Ok(migrate::migrate(&args)?),
            Command::Completions { shell } => Ok(output::print(&completions(shell))?),
        }
    }
}

fn completions(shell: Shell) -> String {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "countersign", &mut script);
    String::from_utf8_lossy(&script).into_owned()
}

#[cfg(test)]
mod tests {
    use clap::error::ErrorKind;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn wrong_command_lines_are_usage_errors() {
        let kind =
            |line: &str| Cli::try_parse_from(line.split(' ')).map(|_| ()).map_err(|error| error.kind());
        assert_eq!(kind("countersign serve --listen 127.0.0.1:0"), Ok(()));
        assert_eq!(kind("countersign serve --lisen x"), Err(ErrorKind::UnknownArgument));
        assert_eq!(kind("countersign service-token show not-an-id"), Err(ErrorKind::ValueValidation));
        assert_eq!(kind("countersign service-token list --expiring soon"), Err(ErrorKind::ValueValidation));
        assert_eq!(kind("countersign verify"), Err(ErrorKind::MissingRequiredArgument));
        assert_eq!(kind("countersign access-token issue --ttl -1"), Ok(()));
        assert_eq!(kind("countersign access-token revoke -"), Ok(()));
    }

    #[test]
    fn no_secret_can_be_given_as_an_argument() {
        fn walk(command: &clap::Command) {
            for argument in command.get_arguments() {
                let name = argument.get_id().as_str();
                let takes_a_value = argument.get_action().takes_values();
                assert!(!takes_a_value || !(name.contains("secret") || name.ends_with("_token")), "{name}");
            }
            command.get_subcommands().for_each(walk);
        }
        walk(&Cli::command());
    }

    #[test]
    fn every_shell_gets_a_script() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            assert!(completions(shell).contains("service-token"), "{shell}");
        }
    }
}
