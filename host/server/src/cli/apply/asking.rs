//! What only the host knows of a plan's steps: where calls may go, what a component is, what a secret was.
//!
//! It is asked what each step would do before the first is done, of a tenant that does not exist yet too.

use std::collections::BTreeSet;

use creel_webhook::destination::DestinationSpec;
use creel_webhook::plugin::Digest;
use creel_webhook::source::SourceSpec;
use serde::Serialize;
use serde_json::json;

use super::steps::{Action, Planned, Step, placeholders};
use crate::api::{DeploymentView, DestinationView, PluginView, SecretView, SourceView};
use crate::cli::client::{ClientError, ClientResult, Resource, TenantClient};
use crate::cli::hints::in_commands;
use crate::cli::manifest::{PluginWanted, SecretWanted};
use crate::cli::plain;
use crate::spec::fields::{Mistake, escape};

/// The host, asked of one file.
pub(super) struct Asking<'a> {
    pub(super) tenant: &'a TenantClient,
    /// The secrets that the file puts first.
    pub(super) secrets: BTreeSet<String>,
    /// Whether nothing will be sent.
    pub(super) dry_run: bool,
    /// What is wrong with the file, by places in it: what is known already, and what the host would refuse besides.
    pub(super) refused: Vec<Mistake>,
}

impl Asking<'_> {
    /// What a step that puts something would give; nothing when it is refused.
    async fn put<R: Resource>(&mut self, name: &str, spec: &impl Serialize) -> ClientResult<Option<R>> {
        let said = self.tenant.would_put::<R>(name, spec, &self.secrets).await;
        Ok(self.noted(&format!("/{}/{}", R::PLURAL, escape(name)), said)?.map(|put| put.resource))
    }

    /// What the host said; what it refuses as wrong is noted as a mistake of the file at this place.
    pub(super) fn noted<T>(&mut self, at: &str, said: ClientResult<T>) -> ClientResult<Option<T>> {
        match said {
            Ok(said) => Ok(Some(said)),
            Err(ClientError::Refused(problem)) if problem.status == 422 => {
                let words = |detail: &str| plain::lines(&in_commands(detail));
                let below = |mistake: &Mistake| {
                    Mistake::new(format!("{at}{}", plain::plain(&mistake.pointer)), words(&mistake.detail))
                };
                let known: BTreeSet<String> = self.refused.iter().map(|mistake| mistake.pointer.clone()).collect();
                let found = problem.errors.iter().map(below).filter(|mistake| !known.contains(&mistake.pointer));
                self.refused.extend(found);
                if problem.errors.is_empty() {
                    self.refused.push(Mistake::new(at, words(&problem.detail)));
                }
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// A secret; `is_known` says whether the host has one of its name.
    pub(super) async fn secret(&mut self, is_known: bool, secret: SecretWanted) -> ClientResult<Step> {
        let SecretWanted { name, document, lacks, .. } = secret;
        let at = format!("/secrets/{}", escape(&name));
        let (change, warnings) = match lacks {
            Some(why) if !is_known && self.dry_run => (Planned::Create, vec![format!("{why}, and applying needs it")]),
            Some(why) if !is_known => {
                self.refused.push(Mistake::new(format!("{at}/value_env"), why));
                (Planned::Create, Vec::new())
            }
            lacks => {
                let would = self.tenant.would_put::<SecretView>(&name, &document, &BTreeSet::new()).await;
                let would = self.noted(&at, would)?;
                let warning = lacks.map(|why| format!("the host keeps the value that it has: {why}"));
                (would.map_or(Planned::Create, |put| put.result.into()), warning.into_iter().collect())
            }
        };
        Ok(Step { warnings, ..Step::new(change, "secret", &name, Vec::new(), Action::Secret(document)) })
    }

    /// A plugin; the digest is of the component as the host keeps it, so only the host can say it.
    pub(super) async fn plugin(&mut self, before: Option<&PluginView>, plugin: PluginWanted) -> ClientResult<Step> {
        let active = before.and_then(|before| before.active.as_ref());
        let (mut fields, mut warnings) = (Vec::new(), Vec::new());
        let would = self.tenant.upload(&plugin.name, plugin.component.clone(), true).await;
        let version = self.noted(&format!("/plugins/{}/component", escape(&plugin.name)), would)?;
        if let (Some(active), Some(version)) = (active, version.map(|put| put.resource)) {
            let differences = [
                ("component", active.digest != version.digest),
                ("config", active.config != plugin.config),
                ("grants", active.grants != plugin.grants),
            ];
            fields.extend(differences.iter().filter(|(_, differs)| *differs).map(|(name, _)| (*name).to_owned()));
            if active.digest != version.digest {
                warnings.extend(self.goes_back(&plugin.name, active, version.digest).await?);
            }
        }
        let change = match (active, fields.is_empty()) {
            (None, _) if before.is_none() => Planned::Create,
            (Some(_), true) => Planned::Same,
            _ => Planned::Change,
        };
        placeholders("config", &json!(plugin.config), &mut warnings);
        let name = plugin.name.clone();
        Ok(Step { warnings, ..Step::new(change, "plugin", &name, fields, Action::Plugin(plugin)) })
    }

    /// What to say when a file's component is one that ran before: somebody deployed another since, perhaps from the same
    /// sources.
    async fn goes_back(&self, plugin: &str, active: &DeploymentView, digest: Digest) -> ClientResult<Option<String>> {
        let all = self.tenant.deployments(plugin).await?;
        let before =
            all.iter().filter(|one| one.digest == digest && one.number < active.number).max_by_key(|one| one.number);
        Ok(before.map(|before| {
            let (old, new) = (before.number, active.number);
            format!(
                "its component is that of deployment {old}, and {new} runs: this goes back, unless the file is built anew"
            )
        }))
    }

    /// A source as it would be.
    pub(super) async fn source(&mut self, step: &Step, spec: &SourceSpec) -> ClientResult<()> {
        if step.change != Planned::Same {
            self.put::<SourceView>(&step.name, spec).await?;
        }
        Ok(())
    }

    /// A destination as it would be; adds to the step why calls to it will wait.
    pub(super) async fn destination(
        &mut self,
        step: &mut Step,
        now: Option<&DestinationView>,
        spec: &DestinationSpec,
    ) -> ClientResult<()> {
        let asked = match step.change {
            Planned::Same => None,
            _ => self.put::<DestinationView>(&step.name, spec).await?,
        };
        let waits = asked.as_ref().or(now).and_then(DestinationView::stopped);
        step.warnings.extend(waits.map(|(state, why)| {
            let name = &step.name;
            format!("calls to it wait: it is {state} ({why}); `creel resume destination {name}` lets them go")
        }));
        Ok(())
    }
}
