//! `where`: clauses joined by `and` and `or`, down to operators on properties.

use countersign_domain::access_token_filter::Condition;
use countersign_domain::pattern::{Matching, Pattern};
use serde_json::{Map, Value};

use super::operands::{Comparison, Incomparable, Property};
use super::{echo, listed};
use crate::loopback::failure::Failure;

/// Most levels of clauses: of 13, LoopBack refuses as well (C69).
const DEEPEST: usize = 12;
/// Most conditions in a filter.
const MOST_CONDITIONS: usize = 64;
/// Most values in the lists of a filter.
const MOST_VALUES: usize = 500;
/// Most patterns in a filter.
const MOST_PATTERNS: usize = 4;

/// The condition of a filter.
pub(super) fn read(clause: Option<&Value>) -> Result<Condition, Failure> {
    let Some(clause) = clause else { return Ok(Condition::EVERYTHING) };
    let reading = &mut Reading { conditions: MOST_CONDITIONS, values: MOST_VALUES, patterns: MOST_PATTERNS };
    reading.clause(clause, 1)
}

/// How much more a filter may hold.
struct Reading {
    conditions: usize,
    values: usize,
    patterns: usize,
}

impl Reading {
    /// What one clause says; all of it holds.
    fn clause(&mut self, clause: &Value, depth: usize) -> Result<Condition, Failure> {
        let Value::Object(properties) = clause else {
            return Err(Failure::Malformed(format!("The where clause {} is not an object", echo(clause))));
        };
        if depth > DEEPEST {
            return Err(Failure::QueryTooDeep);
        }
        let mut all = Vec::new();
        for (name, value) in properties {
            all.push(match name.as_str() {
                "and" => Condition::All(self.clauses(name, value, depth)?),
                "or" => Condition::Any(self.clauses(name, value, depth)?),
                _ => self.property(name, value)?,
            });
        }
        Ok(Condition::All(all))
    }

    fn clauses(&mut self, operator: &str, value: &Value, depth: usize) -> Result<Vec<Condition>, Failure> {
        let clauses = listed(value).map_err(|why| {
            let clauses = echo(value);
            Failure::Malformed(format!("The {operator} operator has invalid clauses {clauses}: {why}"))
        })?;
        take(&mut self.conditions, clauses.len(), "conditions", MOST_CONDITIONS)?;
        clauses.into_iter().map(|clause| self.clause(clause, depth + 1)).collect()
    }

    /// No token has an unknown property, and whatever is asked about it, its opposite included, is true of none (C41):
    /// a misspelt name must not find every token.
    fn property(&mut self, name: &str, value: &Value) -> Result<Condition, Failure> {
        let invalid = |why: String| {
            Failure::Malformed(format!("The {name} property has invalid clause {}: {why}", echo(value)))
        };
        take(&mut self.conditions, 1, "conditions", MOST_CONDITIONS)?;
        let Some(property) = Property::of(name) else { return Ok(Condition::NOTHING) };
        let Value::Object(operators) = value else {
            return property.equals(value).map_err(|why| invalid(why.into()));
        };
        let mut all = Vec::new();
        for (operator, operand) in operators.iter().filter(|(operator, _)| *operator != "options") {
            take(&mut self.conditions, 1, "conditions", MOST_CONDITIONS)?;
            all.push(
                match operator.as_str() {
                    "inq" | "nin" | "between" => {
                        let values = listed(operand).map_err(|why| invalid(format!("Error: {why}")))?;
                        take(&mut self.values, values.len(), "values in lists", MOST_VALUES)?;
                        of_list(property, operator, &values)
                    }
                    "like" | "nlike" | "ilike" | "nilike" | "regexp" => {
                        take(&mut self.patterns, 1, "patterns", MOST_PATTERNS)?;
                        of_pattern(property, operator, operand, has_flag(operators, 'i'))
                    }
                    _ => of_value(property, operator, operand).map_err(str::to_owned),
                }
                .map_err(invalid)?,
            );
        }
        // An object without an operator is a value that nothing has.
        Ok(if all.is_empty() { Condition::NOTHING } else { Condition::All(all) })
    }
}

/// Takes from what is left of a bound.
fn take(left: &mut usize, wanted: usize, what: &str, bound: usize) -> Result<(), Failure> {
    *left = left
        .checked_sub(wanted)
        .ok_or_else(|| Failure::Malformed(format!("The filter has more than {bound} {what}")))?;
    Ok(())
}

fn has_flag(operators: &Map<String, Value>, flag: char) -> bool {
    operators.get("options").and_then(Value::as_str).is_some_and(|flags| flags.contains(flag))
}

/// An unknown operator is true of no token (C42). So is `near`: no token is anywhere.
fn of_value(property: Property, operator: &str, value: &Value) -> Result<Condition, Incomparable> {
    let comparison = match operator {
        "eq" => return property.equals(value),
        "neq" => return property.equals(value).map(Condition::negated),
        "gt" => Comparison::Greater,
        "gte" => Comparison::AtLeast,
        "lt" => Comparison::Less,
        "lte" => Comparison::AtMost,
        _ => return Ok(Condition::NOTHING),
    };
    property.compares(comparison, value)
}

fn of_list(property: Property, operator: &str, values: &[&Value]) -> Result<Condition, String> {
    if operator == "between" {
        let [from, to] = values else {
            return Err(format!("Expected precisely 2 values, received {}", values.len()));
        };
        let (from, to) =
            (property.compares(Comparison::AtLeast, from)?, property.compares(Comparison::AtMost, to)?);
        return Ok(Condition::All(vec![from, to]));
    }
    let any = values.iter().map(|value| property.equals(value)).collect::<Result<_, _>>()?;
    let any = Condition::Any(any);
    Ok(if operator == "nin" { any.negated() } else { any })
}

fn of_pattern(
    property: Property,
    operator: &str,
    operand: &Value,
    ignore_case: bool,
) -> Result<Condition, String> {
    let text = operand.as_str().ok_or("Expected a string or RegExp")?;
    let ignore_case = ignore_case || matches!(operator, "ilike" | "nilike");
    let pattern = match operator {
        "regexp" => regexp(text, ignore_case)?,
        _ => Pattern::like(text, ignore_case).map_err(|why| format!("The pattern {why}"))?,
    };
    let matches = property.matches(pattern)?;
    Ok(if matches!(operator, "nlike" | "nilike") { matches.negated() } else { matches })
}

/// A regular expression, bare or as a literal of JavaScript: `/x/i`.
fn regexp(text: &str, ignore_case: bool) -> Result<Pattern, String> {
    let literal = text.strip_prefix('/').and_then(|rest| rest.rsplit_once('/'));
    let (expression, flags) = literal.filter(|(expression, _)| !expression.is_empty()).unwrap_or((text, ""));
    if !flags.chars().all(|flag| matches!(flag, 'g' | 'i' | 'm')) {
        return Err("The flags of a regular expression are g, i and m".into());
    }
    let matching = Matching { ignore_case: ignore_case || flags.contains('i'), by_line: flags.contains('m') };
    Pattern::regexp(expression, matching).map_err(|why| format!("The regular expression {why}"))
}
