//! The name a user probably meant.

/// The candidate nearest to `name` in spelling, when one is near enough to be worth suggesting.
pub(crate) fn nearest_name<'a>(
    name: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let wanted = name.to_lowercase();
    candidates
        .into_iter()
        .map(|c| (strsim::jaro_winkler(&wanted, &c.to_lowercase()), c))
        .filter(|(score, _)| *score >= 0.82)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, c)| c)
}

#[cfg(test)]
mod tests {
    use super::nearest_name;

    #[test]
    fn suggests_near_names_only() {
        let names = ["standard_scaler", "min_max_scaler", "log1p"];
        assert_eq!(
            nearest_name("standardscaler", names),
            Some("standard_scaler")
        );
        assert_eq!(nearest_name("Log1P", names), Some("log1p"));
        assert_eq!(nearest_name("tokenize", names), None);
    }
}
