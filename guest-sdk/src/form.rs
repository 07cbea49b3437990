//! Form fields in the order in which they came: what Twilio and others post instead of JSON.

use crate::Malformed;
use std::str::FromStr;

/// The decoded fields of an `application/x-www-form-urlencoded` body.
///
/// ```
/// use creel_guest::testing::EventBuilder;
/// let event = EventBuilder::new("").form([("From", "+15550100"), ("Body", "hi"), ("Body", "there")]).build();
/// let form = event.form();
/// assert_eq!(form.get("From"), Some("+15550100"));
/// assert_eq!(form.all("Body").collect::<Vec<_>>(), ["hi", "there"]);
/// assert_eq!(form.require("CallSid").unwrap_err().to_string(), "the form field `CallSid` is missing");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Form {
    fields: Vec<(String, String)>,
}

impl Form {
    pub(crate) fn parse(body: &[u8]) -> Form {
        Form { fields: form_urlencoded::parse(body).into_owned().collect() }
    }

    /// The first value of a field.
    ///
    /// ```
    /// # use creel_guest::testing::EventBuilder;
    /// let form = EventBuilder::new("").form([("Digits", "1")]).build().form();
    /// assert_eq!((form.get("Digits"), form.get("Other")), (Some("1"), None));
    /// ```
    pub fn get(&self, name: &str) -> Option<&str> {
        self.all(name).next()
    }

    /// The first value of a field; `?` on the error rejects the event and names the field.
    ///
    /// ```
    /// # use creel_guest::prelude::*;
    /// fn handle(event: Event) -> Result<Outcome, Failure> {
    ///     let form = event.form();
    ///     Ok(Outcome::new().call(Call::to("crm").json(&json!({ "sid": form.require("CallSid")? }))?))
    /// }
    /// # let _ = handle;
    /// ```
    pub fn require(&self, name: &str) -> Result<&str, Malformed> {
        self.get(name).ok_or_else(|| Malformed::new(format!("the form field `{name}` is missing")))
    }

    /// The first value of a field, parsed: absent is no error, nonsense is.
    ///
    /// ```
    /// # use creel_guest::testing::EventBuilder;
    /// let form = EventBuilder::new("").form([("CallDuration", "42"), ("SipResponseCode", "?")]).build().form();
    /// assert_eq!(form.parse_as::<u32>("CallDuration"), Ok(Some(42)));
    /// assert_eq!(form.parse_as::<u32>("Duration"), Ok(None));
    /// assert!(form.parse_as::<u32>("SipResponseCode").is_err());
    /// ```
    pub fn parse_as<T: FromStr>(&self, name: &str) -> Result<Option<T>, Malformed> {
        let Some(value) = self.get(name) else { return Ok(None) };
        let complaint =
            |_| Malformed::new(format!("the form field `{name}` is not a valid {}", std::any::type_name::<T>()));
        value.parse().map(Some).map_err(complaint)
    }

    /// Every value of a field, in order.
    ///
    /// ```
    /// # use creel_guest::testing::EventBuilder;
    /// let form = EventBuilder::new("").form([("a", "1"), ("b", "2"), ("a", "3")]).build().form();
    /// assert_eq!(form.all("a").count(), 2);
    /// ```
    pub fn all<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a str> {
        self.fields.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// All fields in order.
    ///
    /// ```
    /// # use creel_guest::testing::EventBuilder;
    /// let form = EventBuilder::new("").form([("b", "1"), ("a", "2")]).build().form();
    /// assert_eq!(form.iter().next(), Some(("b", "1")));
    /// ```
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.fields.iter().map(|(key, value)| (key.as_str(), value.as_str()))
    }
}
