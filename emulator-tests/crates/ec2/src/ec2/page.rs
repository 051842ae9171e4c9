//! `MaxResults` and `NextToken`.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use emulator_protocol::{AwsError, Params};
use std::ops::RangeInclusive;

/// Which part of a sorted listing is asked for.
#[derive(Clone, Debug, Default)]
pub struct Page {
    limit: Option<usize>,
    after: Option<String>,
}

impl Page {
    /// Reads `MaxResults`, which has to be in `range`, and `NextToken`.
    ///
    /// # Errors
    /// `InvalidParameterValue`; `InvalidNextToken` for a token that is not ours.
    pub fn parse(params: &Params, range: RangeInclusive<i64>) -> Result<Self, AwsError> {
        let limit = params.integer("MaxResults")?;
        if let Some(limit) = limit.filter(|limit| !range.contains(limit)) {
            return Err(params.invalid(
                "MaxResults",
                &limit.to_string(),
                &format!(
                    "expecting a value from {} to {}",
                    range.start(),
                    range.end()
                ),
            ));
        }
        let after = match params.get("NextToken").filter(|token| !token.is_empty()) {
            None => None,
            Some(token) => Some(
                URL_SAFE_NO_PAD
                    .decode(token)
                    .ok()
                    .and_then(|bytes| String::from_utf8(bytes).ok())
                    .ok_or_else(|| {
                        AwsError::new(
                            "InvalidNextToken",
                            format!("The token '{token}' is invalid"),
                        )
                    })?,
            ),
        };
        Ok(Self {
            limit: limit.and_then(|limit| usize::try_from(limit).ok()),
            after,
        })
    }

    /// The page's part of `items`, which are sorted by `id`, and the next page's token.
    pub fn cut<T>(&self, items: Vec<T>, id: impl Fn(&T) -> &str) -> (Vec<T>, Option<String>) {
        let mut items: Vec<T> = items
            .into_iter()
            .filter(|item| self.after.as_deref().is_none_or(|after| id(item) > after))
            .collect();
        let Some(limit) = self.limit.filter(|limit| *limit < items.len()) else {
            return (items, None);
        };
        items.truncate(limit);
        let token = items.last().map(|last| URL_SAFE_NO_PAD.encode(id(last)));
        (items, token)
    }
}
