//! Names of members that differ from the specification's in letter case alone. Other runtimes read
//! them as the same; where that is wanted, they are given their spelling here.

use serde_json::{Map, Value};

use super::SpecError;
use super::pointer::Pointer;
use super::properties::Shape;

/// Gives every member the spelling that the table has for it.
///
/// # Errors
/// Two members that would then have one name: which of them is meant cannot be known.
pub(super) fn settle(value: Value, shape: &Shape, at: &Pointer) -> Result<Value, SpecError> {
    match (value, shape) {
        (Value::Object(members), Shape::Object(known)) => {
            let mut settled = Map::new();
            for (name, inner) in members {
                let property = known.iter().find(|one| one.name.eq_ignore_ascii_case(&name));
                let (name, inner) = match property {
                    Some(one) => {
                        let below = at.clone().key(one.name);
                        (one.name.to_owned(), settle(inner, &one.shape, &below)?)
                    }
                    None => (name, inner),
                };
                if settled.contains_key(&name) {
                    let what = "stands twice, in different letter case; which of the two is meant \
                                cannot be known";
                    let at = at.clone().key(&name);
                    return Err(SpecError::Property { at, what: what.to_owned() });
                }
                settled.insert(name, inner);
            }
            Ok(Value::Object(settled))
        }
        (Value::Array(items), Shape::List(inner)) => {
            let settled = items.into_iter().enumerate();
            let settled =
                settled.map(|(index, item)| settle(item, inner, &at.clone().index(index)));
            settled.collect::<Result<_, _>>().map(Value::Array)
        }
        (value, _) => Ok(value),
    }
}
