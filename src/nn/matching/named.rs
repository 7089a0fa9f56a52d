//! Weights by Kiln's names and by Keras', the numbered names that Keras makes included.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::ops::Range;

use super::natural::automatic;
use super::report::{ABSENT, WeightMatch, WeightMatches};
use super::{Matched, Target, Wanted, misfit};
use crate::io::TensorFile;
use crate::nn::network::{Network, snake_case};

/// The weights of a model that have a tensor by one way to read the names.
#[derive(Default)]
struct Reading<'f> {
    /// The weights' indices, each with its tensor's name.
    found: Vec<(usize, &'f str)>,
    layers: usize,
    left: Vec<(String, String)>,
}

/// What of a file are weights of a model by their names. Of all ways to read the names the one counts by which most layers are there.
///
/// # Errors
/// Where two ways go as far as each other and contradict each other.
pub(super) fn matched(wanted: &Wanted<'_>, file: &TensorFile, names: &[&str]) -> Result<Matched, String> {
    let targets = wanted.targets();
    let readings = readings(wanted, &targets, file, names);
    let most = readings.iter().map(|reading| reading.layers).max().unwrap_or(0);
    let mut best = readings.into_iter().filter(|reading| reading.layers == most);
    let mut first = best.next().unwrap_or_default();
    for other in best {
        if most == 0 {
            // One that says more than that nothing is there.
            if first.left.iter().all(|(_, why)| why == ABSENT) {
                first = other;
            }
        } else if let Some([a, b]) = contradiction(&first, &other) {
            let pair = |(weight, name): (usize, &str)| format!("{} is {name}", wanted.parameters()[weight].path());
            return Err(format!(
                "is ambiguous: by their names {}, by the order of the names that Keras numbers {}; give the layers the names that \
                 they have in the file",
                pair(a),
                pair(b)
            ));
        }
    }
    let used: HashSet<&str> = first.found.iter().map(|&(_, name)| name).collect();
    let unused = names.iter().filter(|name| !used.contains(**name)).map(|name| name.to_string());
    let mut report = WeightMatches { left: first.left, unused: unused.collect(), ..WeightMatches::default() };
    report.weights = wanted.parameters().len();
    let mut weights = Vec::with_capacity(first.found.len());
    for (index, name) in first.found {
        weights.push((index, file.tensor(name).map_err(|e| e.to_string())?.clone()));
        let weight = wanted.parameters()[index].path();
        report.matched.push(WeightMatch { weight, tensors: vec![name.into()], how: "" });
    }
    Ok((weights, report))
}

/// The first two pairs of a weight and a tensor by which two readings contradict each other.
fn contradiction<'f>(a: &Reading<'f>, b: &Reading<'f>) -> Option<[(usize, &'f str); 2]> {
    let by_weight: HashMap<usize, (usize, &'f str)> = b.found.iter().map(|&pair| (pair.0, pair)).collect();
    let by_name: HashMap<&str, (usize, &'f str)> = b.found.iter().map(|&pair| (pair.1, pair)).collect();
    a.found.iter().find_map(|&one| {
        let others = [by_weight.get(&one.0), by_name.get(one.1)];
        others.into_iter().flatten().find(|&&other| other != one).map(|&other| [one, other])
    })
}

/// All ways to read the names, the plainest first.
fn readings<'f>(wanted: &Wanted<'_>, targets: &[Target<'_>], file: &TensorFile, names: &[&'f str]) -> Vec<Reading<'f>> {
    let own: Vec<String> = wanted.parameters().iter().map(|p| p.path()).collect();
    let ours = [own, in_keras(wanted), wanted.in_keras_files.clone()];
    let behind = behind_common(names);
    let theirs = [Some(names.to_vec()), behind];
    let classes = classes(wanted.network);
    let mut readings = Vec::new();
    for is_numbered in [false, true] {
        let keys = |names: &[&str]| match is_numbered {
            false => names.iter().map(|name| name.to_string()).collect(),
            true => numbered(names, &classes),
        };
        let ours = ours.each_ref().map(|names| keys(&names.iter().map(String::as_str).collect::<Vec<_>>()));
        for given in theirs.iter().flatten().map(|given| keys(given)) {
            readings.extend(ours.iter().map(|ours| reading(wanted, targets, file, ours, &given, names)));
        }
    }
    readings
}

/// What is found by keys of the weights and keys of the tensors.
fn reading<'f>(
    wanted: &Wanted<'_>,
    targets: &[Target<'_>],
    file: &TensorFile,
    ours: &[String],
    keys: &[String],
    names: &[&'f str],
) -> Reading<'f> {
    let by_key: HashMap<&str, &'f str> = keys.iter().map(String::as_str).zip(names.iter().copied()).collect();
    let mut reading = Reading::default();
    for target in targets {
        let found: Vec<Option<&'f str>> =
            target.weights.iter().map(|&i| by_key.get(ours.get(i)?.as_str()).copied()).collect();
        let parameters = || target.weights.iter().map(|&i| &wanted.parameters()[i]);
        let missing: Vec<&str> =
            parameters().zip(&found).filter(|(_, found)| found.is_none()).map(|(p, _)| p.name.as_str()).collect();
        let wrong = parameters().zip(&found).find_map(|(p, found)| misfit(file, (*found)?, &p.shape));
        let why = match wrong {
            Some(why) => why,
            None if missing.len() == found.len() => ABSENT.into(),
            None if !missing.is_empty() => format!("the file has no {} of it", missing.join(", ")),
            None => {
                reading.layers += 1;
                reading.found.extend(target.weights.iter().copied().zip(found.into_iter().flatten()));
                continue;
            }
        };
        reading.left.push((target.layer.into(), why));
    }
    reading
}

/// The weights' paths in Keras, without the name of the model that Keras puts in front where it is a chain.
fn in_keras(wanted: &Wanted<'_>) -> Vec<String> {
    let layers = wanted.network.keras_layers("");
    let path = |p: &crate::nn::Parameter| {
        let weight = wanted.network.layer(&p.layer).map_or_else(|| p.name.clone(), |layer| layer.keras_weight(&p.name));
        format!("{}/{weight}", layers.get(&p.layer).unwrap_or(&p.layer))
    };
    wanted.parameters().iter().map(path).collect()
}

/// The names behind what all of them begin with, where that is the name of a model.
fn behind_common<'f>(names: &[&'f str]) -> Option<Vec<&'f str>> {
    let (first, _) = names.first()?.split_once('/')?;
    let behind =
        names.iter().map(|name| name.split_once('/').filter(|(model, _)| *model == first).map(|(_, rest)| rest));
    behind.collect::<Option<Vec<_>>>().filter(|behind| behind.iter().all(|rest| rest.contains('/')))
}

/// The classes of all layers, as Keras makes names of them.
fn classes(network: &Network) -> Vec<String> {
    fn add(network: &Network, classes: &mut BTreeSet<String>) {
        for (_, layer) in &network.layers {
            classes.insert(snake_case(layer.kind()));
            layer.nested().into_iter().for_each(|nested| add(&nested.network, classes));
        }
    }
    let mut found = BTreeSet::new();
    add(network, &mut found);
    found.into_iter().collect()
}

/// The places in a path of the names between its slashes, the last one left out.
fn groups(path: &str) -> impl Iterator<Item = Range<usize>> {
    let mut from = 0;
    path.match_indices('/').map(move |(end, _)| std::mem::replace(&mut from, end + 1)..end)
}

/// Names of which those that Keras made are counted anew, class by class in the order of their numbers: in a program of several models
/// Keras goes on counting.
fn numbered(names: &[&str], classes: &[String]) -> Vec<String> {
    let mut numbers: BTreeMap<(&str, &str), BTreeSet<u64>> = BTreeMap::new();
    for name in names {
        for at in groups(name) {
            if let Some((class, number)) = automatic(&name[at.clone()], classes) {
                numbers.entry((&name[..at.start], class)).or_default().insert(number);
            }
        }
    }
    let place = |((parent, class), all): (_, BTreeSet<u64>)| {
        all.into_iter().enumerate().map(move |(place, number)| ((parent, class, number), place))
    };
    let places: HashMap<(&str, &str, u64), usize> = numbers.into_iter().flat_map(place).collect();
    let counted = |name: &&str| {
        let (mut text, mut last) = (String::new(), 0);
        for at in groups(name) {
            let place = automatic(&name[at.clone()], classes).and_then(|(class, number)| {
                Some(format!("{class}#{}", places.get(&(&name[..at.start], class, number))?))
            });
            text.push_str(&name[last..at.start]);
            text.push_str(place.as_deref().unwrap_or(&name[at.clone()]));
            last = at.end;
        }
        text.push_str(&name[last..]);
        text
    };
    names.iter().map(counted).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_keras_gives_are_counted_anew_within_a_model() {
        let classes = ["dense".to_string(), "sequential".into()];
        let names = ["sequential_4/dense_7/kernel", "sequential_4/dense_11/kernel", "hidden/dense_2/bias", "dense"];
        let found = numbered(&names, &classes);
        assert_eq!(
            found,
            ["sequential#0/dense#0/kernel", "sequential#0/dense#1/kernel", "hidden/dense#0/bias", "dense"]
        );
    }

    #[test]
    fn the_name_of_a_model_is_what_all_names_begin_with() {
        assert_eq!(behind_common(&["net/a/kernel", "net/b/kernel"]), Some(vec!["a/kernel", "b/kernel"]));
        assert_eq!(behind_common(&["net/a/kernel", "other/b/kernel"]), None);
        assert_eq!(behind_common(&["a/kernel", "a/bias"]), None);
    }
}
