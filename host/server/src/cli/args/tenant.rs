//! Arguments about a tenant as a whole.

use std::path::PathBuf;

use clap::{Args, FromArgMatches};
use creel_webhook::tenant::{TENANT_LIMITS, TenantLimits};

/// Which tenant, and what it may use. Limits that are not named stay; all stay below the host's own settings (`ceiling.*`).
#[derive(Debug, Clone, Args)]
pub struct Tenant {
    /// Its name; made when there is none and a limit is named
    pub name: String,
    /// Forget its own limits first, so that it follows the host's settings
    #[arg(long)]
    pub reset: bool,
    /// Write everything of it that the key may see into this new directory
    #[arg(long, value_name = "DIR", conflicts_with_all = ["reset", "delete"])]
    pub export: Option<PathBuf>,
    /// Remove it with everything that was ever stored for it, for good
    #[arg(long, conflicts_with = "reset")]
    pub delete: bool,
    /// Don't ask before it is removed
    #[arg(long, short, requires = "delete")]
    pub yes: bool,
    /// Limits of its own.
    #[command(flatten)]
    pub own: OwnLimits,
}

impl Tenant {
    /// Whether it says anything about limits.
    pub fn names_limits(&self) -> bool {
        self.reset || self.own != OwnLimits::default()
    }

    /// The limits that it is to have, if it had these.
    pub fn limits(&self, before: TenantLimits) -> TenantLimits {
        let mut limits = if self.reset { TenantLimits::default() } else { before };
        for limit in TENANT_LIMITS {
            if let Some(own) = (limit.own)(&self.own.0) {
                (limit.set_own)(&mut limits, Some(own));
            }
        }
        limits
    }
}

/// A flag for each limit of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct OwnLimits(TenantLimits);

impl Args for OwnLimits {
    fn augment_args(command: clap::Command) -> clap::Command {
        TENANT_LIMITS.iter().fold(command, |command, limit| {
            let help = limit.about.trim().trim_end_matches('.').replace("; ", ": ");
            let flag = clap::Arg::new(limit.name).long(limit.flag).value_name("NUMBER");
            command.arg(flag.value_parser(clap::value_parser!(u64)).help(help))
        })
    }

    fn augment_args_for_update(command: clap::Command) -> clap::Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for OwnLimits {
    fn from_arg_matches(matches: &clap::ArgMatches) -> Result<Self, clap::Error> {
        let mut own = OwnLimits::default();
        own.update_from_arg_matches(matches)?;
        Ok(own)
    }

    fn update_from_arg_matches(&mut self, matches: &clap::ArgMatches) -> Result<(), clap::Error> {
        for limit in TENANT_LIMITS {
            (limit.set_own)(&mut self.0, matches.get_one::<u64>(limit.name).copied());
        }
        Ok(())
    }
}
