//! Who asks which host about which tenant, as the command line and the environment say.

use anyhow::Context as _;

use super::args::Globals;
use super::client::{Client, TenantClient};
use super::console::Usage;

/// The key that was given, if one was.
///
/// # Errors
/// When its file can't be read.
pub fn key(globals: &Globals) -> anyhow::Result<Option<String>> {
    Ok(match (&globals.key, &globals.key_file) {
        (Some(key), _) => Some(key.clone()),
        (None, Some(file)) => {
            let text =
                std::fs::read_to_string(file).with_context(|| format!("reading the key from {}", file.display()))?;
            Some(text.trim().to_owned())
        }
        (None, None) => None,
    })
}

/// A client of the host.
///
/// # Errors
/// [`Usage`] without a key, and when the address or the certificates are of no use.
pub fn client(globals: &Globals) -> anyhow::Result<Client> {
    let key = key(globals)?;
    let key =
        key.ok_or_else(|| Usage::new("no key: set CREEL_KEY, or give --key-file; `creel init` makes the first"))?;
    Ok(Client::trusting(&globals.url, &key, globals.ca_file.as_deref())?)
}

/// A client of the host for the tenant that a command is about.
///
/// # Errors
/// As [`client`] and [`tenant_name`].
pub async fn tenant(globals: &Globals) -> anyhow::Result<TenantClient> {
    let client = client(globals)?;
    let name = tenant_name(globals, &client).await?;
    Ok(client.tenant(&name))
}

/// The tenant that is named, or else the key's own; none for an operator who names none.
///
/// # Errors
/// When the host can't be asked.
pub async fn own_tenant(globals: &Globals, client: &Client) -> anyhow::Result<Option<String>> {
    match &globals.tenant {
        Some(name) => Ok(Some(name.clone())),
        None => Ok(client.whoami().await?.tenant),
    }
}

/// The tenant that a command is about.
///
/// # Errors
/// [`Usage`] for an operator who names none, and when the host can't be asked.
pub async fn tenant_name(globals: &Globals, client: &Client) -> anyhow::Result<String> {
    let own = own_tenant(globals, client).await?;
    own.ok_or_else(|| Usage::new("this key is an operator's; name the tenant with --tenant or CREEL_TENANT").into())
}
