//! Who calls: one look-up, bounded in time, of which only what the settings name is handed on.

use creel_guest::prelude::*;
use std::collections::BTreeMap;

/// How long the CRM may take unless `lookup-ms` says otherwise: the caller hears it ring meanwhile.
const LOOKUP_MS: u64 = 1_500;

/// Fields that are handed on unless `fields` names others.
const FIELDS: &str = "first_name";

/// What the CRM says about a caller.
#[derive(Debug, Default)]
pub struct Customer {
    /// Texts by field, of the fields that the settings name.
    pub facts: BTreeMap<String, String>,
    /// Whether the CRM knows the caller.
    pub is_known: bool,
}

impl Customer {
    /// Asks for the customer with this number; nobody when there is none, or no answer that helps.
    pub fn of(number: Option<&str>) -> Result<Customer, Failure> {
        let Some(number) = number.filter(|number| is_number(number)) else {
            log::info!("the caller's number is withheld");
            return Ok(Customer::default());
        };
        let path = config::get("crm-path").unwrap_or_else(|| "/contacts?phone={number}".to_owned());
        let path = path.replace("{number}", &number.replace('+', "%2B"));
        let timeout = Duration::from_millis(config::parse("lookup-ms")?.unwrap_or(LOOKUP_MS));
        let crm = config::get("destination-crm").unwrap_or_else(|| "crm".to_owned());
        match fetch::Request::get(crm, path).header("accept", "application/json").timeout(timeout).send() {
            Ok(response) if response.is_success() => Ok(Customer::read(&response)),
            Ok(response) if response.status == 404 => {
                log::info!("the CRM does not know the caller");
                Ok(Customer::default())
            }
            Ok(response) => {
                log::warn!("the CRM answered {}; going on without it", response.status);
                Ok(Customer::default())
            }
            Err(error) => {
                log::warn!("{error}; going on without the CRM");
                Ok(Customer::default())
            }
        }
    }

    fn read(response: &fetch::Response) -> Customer {
        let record = match response.json::<Value>() {
            Ok(Value::Object(record)) => record,
            Ok(_) | Err(_) => {
                log::warn!("the CRM's answer is no JSON object; going on without it");
                return Customer::default();
            }
        };
        let fields = config::get("fields").unwrap_or_else(|| FIELDS.to_owned());
        let facts = fields.split(',').map(str::trim).filter_map(|field| {
            let fact = match record.get(field)? {
                Value::String(text) => text.clone(),
                Value::Null | Value::Array(_) | Value::Object(_) => return None,
                plain => plain.to_string(),
            };
            Some((field.to_owned(), fact))
        });
        Customer { facts: facts.collect(), is_known: true }
    }

    /// A text of the settings with `{field}` filled in; none when it is not set or a fact that it wants is missing.
    pub fn say(&self, setting: &str) -> Option<String> {
        let template = config::get(setting)?;
        let (mut text, mut rest) = (String::new(), template.as_str());
        while let Some((before, after)) = rest.split_once('{') {
            let (field, behind) = after.split_once('}')?;
            text.extend([before, self.facts.get(field)?]);
            rest = behind;
        }
        Some(text + rest)
    }
}

/// E.164, as providers write numbers; `anonymous` and the like are none.
fn is_number(text: &str) -> bool {
    text.strip_prefix('+')
        .is_some_and(|digits| (5..=15).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit()))
}
