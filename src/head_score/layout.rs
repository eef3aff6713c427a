//! From the entries of a head_score file to one list per head: by key, all of them, once each.

use std::collections::HashMap;

use super::reader::{Item, Reader};
use super::{HeadScoreFile, ReadHeadScore};
use crate::error::Result;

/// Places every list by its key and checks that all heads are there.
pub(super) fn assemble(
    reader: &Reader<'_>,
    entries: Vec<(String, Item)>,
    expected: Option<(usize, usize)>,
) -> Result<ReadHeadScore> {
    let entries = without_wrapper(reader, entries)?;
    let mut lists: HashMap<(usize, usize), Vec<f32>> = HashMap::with_capacity(entries.len());
    let mut order = Vec::with_capacity(entries.len());
    for (key, item) in entries {
        let Some(head) = layer_and_head(&key) else {
            return Err(reader
                .error_at("a key of a head_score file does not name a head", &key)
                .expected("\"layer-head\", for example \"12-7\""));
        };
        let list = match item {
            Item::Number(value) => vec![value],
            Item::List(list) => list,
            Item::Map(_) => return Err(reader.error_at("a head holds a map", &key)),
        };
        order.push(head);
        lists.insert(head, list);
    }
    let (layers, heads) = size(reader, &order, &lists, expected)?;
    let sorted = order.is_sorted();
    let file_order = order.iter().map(|(layer, head)| layer * heads + head).collect();
    // Row-major order of keys is row-major order of lists.
    order.sort_unstable();
    let values: Vec<Vec<f32>> = order.iter().filter_map(|head| lists.remove(head)).collect();
    let mut warnings = Vec::new();
    if !sorted {
        warnings.push(
            "the keys are not in layer-head order; the values were placed by key. Tools that go by \
             the order in the file give them to other heads"
                .to_owned(),
        );
    }
    let shortest = values.iter().map(Vec::len).min().unwrap_or(0);
    let longest = values.iter().map(Vec::len).max().unwrap_or(0);
    if shortest != longest {
        warnings.push(format!(
            "the heads have {shortest} to {longest} values each; one per probe would be the same \
             number for all"
        ));
    }
    let file = HeadScoreFile::new(layers, heads, values)?;
    Ok(ReadHeadScore { file, warnings, file_order: (!sorted).then_some(file_order) })
}

/// Takes the map out of the one key that may hold it.
fn without_wrapper(
    reader: &Reader<'_>,
    mut entries: Vec<(String, Item)>,
) -> Result<Vec<(String, Item)>> {
    if let [(_, Item::Map(inner))] = entries.as_mut_slice() {
        return Ok(std::mem::take(inner));
    }
    match entries.iter().find(|(_, item)| matches!(item, Item::Map(_))) {
        Some((key, _)) => Err(reader
            .error_at("a head_score file holds a map among other things", key)
            .expected("a map \"layer-head\" to numbers, alone or as the only key of the file")
            .advice("copy the map that you want into a file of its own")),
        None => Ok(entries),
    }
}

/// Number of layers and heads, from the keys; an error unless every head is there once.
fn size(
    reader: &Reader<'_>,
    order: &[(usize, usize)],
    lists: &HashMap<(usize, usize), Vec<f32>>,
    expected: Option<(usize, usize)>,
) -> Result<(usize, usize)> {
    let layers = order.iter().map(|head| head.0 + 1).max().unwrap_or(0);
    let heads = order.iter().map(|head| head.1 + 1).max().unwrap_or(0);
    if order.is_empty() {
        return Err(reader.error("a head_score file has no heads"));
    }
    let complete = layers.checked_mul(heads) == Some(order.len());
    if let Some((want_layers, want_heads)) = expected.filter(|want| *want != (layers, heads)) {
        let outside = order.iter().find(|head| head.0 >= want_layers || head.1 >= want_heads);
        match outside {
            Some(head) if !complete => {
                return Err(reader
                    .error_at("a key of a head_score file is out of range", &name(*head))
                    .expected(format!("{want_layers} layers x {want_heads} heads")));
            }
            _ if complete => {
                return Err(reader
                    .error("a head_score file is for a model of another size")
                    .got(format!("{layers} layers x {heads} heads"))
                    .expected(format!("{want_layers} layers x {want_heads} heads"))
                    .advice("use the file that was made for this model"));
            }
            _ => {}
        }
    }
    if !complete {
        // Fewer keys than places, so the first place without a key comes early in row-major order.
        let (layers, heads) = expected.unwrap_or((layers, heads));
        let mut places = (0..layers).flat_map(|layer| (0..heads).map(move |head| (layer, head)));
        let missing = places.find(|head| !lists.contains_key(head)).unwrap_or_default();
        return Err(reader
            .error_at("a head is missing from a head_score file", &name(missing))
            .got(format!("{} heads", order.len()))
            .expected(format!("{layers} layers x {heads} heads")));
    }
    Ok((layers, heads))
}

fn name(head: (usize, usize)) -> String {
    format!("{}-{}", head.0, head.1)
}

/// Reads `12-7`: two decimal numbers without sign or leading zeros.
fn layer_and_head(key: &str) -> Option<(usize, usize)> {
    let (layer, head) = key.split_once('-')?;
    // 32 bits: far above any model, and no sum or product of two of them overflows.
    let number = |text: &str| text.parse::<u32>().ok().filter(|n| n.to_string() == text);
    Some((number(layer)? as usize, number(head)? as usize))
}
