//! Names of members that differ from the specification's in letter case alone. Other runtimes read
//! them as the same; where that is wanted, they are given their spelling here.

use serde_json::{Map, Value};

use super::pointer::Pointer;
use super::properties::Shape;
use super::{SpecError, syntax};

/// The document, with the spelling that the table has for every member.
///
/// # Errors
/// Its syntax; two members that would then have one name: which is meant cannot be known.
pub(super) fn settled(bytes: &[u8], shape: &Shape) -> Result<String, SpecError> {
    let tree = serde_json::from_slice(bytes).map_err(|error| syntax(&error, None))?;
    settle(tree, shape, &Pointer::default()).map(|tree| tree.to_string())
}

fn settle(value: Value, shape: &Shape, at: &Pointer) -> Result<Value, SpecError> {
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
