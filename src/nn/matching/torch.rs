//! Weights by PyTorch's names, <https://docs.pytorch.org/docs/stable/nn.html>: those of a module's `state_dict`, in its layouts.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::natural::{parts, stem};
use super::order::{Order, orders};
use super::report::{ABSENT, WeightMatch, WeightMatches};
use super::{Matched, Target, Wanted, layouts};
use crate::io::TensorFile;
use layouts::{Layout, Source};

/// What modules call their weights.
const LEAVES: [&str; 7] =
    ["weight", "bias", "running_mean", "running_var", "num_batches_tracked", "in_proj_weight", "in_proj_bias"];
/// What recurrent modules call them, with the number of the layer behind.
const RECURRENT: [&str; 4] = ["weight_ih_l", "weight_hh_l", "bias_ih_l", "bias_hh_l"];
/// How many steps a BatchNorm was trained for; nothing that it computes depends on it.
const COUNTER: &str = "num_batches_tracked";
/// The part of a MultiheadAttention that is a module of its own.
const OUT: &str = "out_proj";
/// PyTorch's default, which files do not keep.
const EPSILON: f64 = 1e-5;

/// A module of a file, or a layer of a recurrent one.
pub(super) struct Module {
    /// `features.0`; of a recurrent module's second layer `lstm.l1`.
    path: String,
    /// Its tensors by what they are called within it.
    tensors: BTreeMap<String, String>,
}

impl Module {
    /// The name of a tensor of the module.
    pub fn tensor(&self, leaf: &str) -> Option<&str> {
        self.tensors.get(leaf).map(String::as_str)
    }

    /// How many tensors it has that a layer of Kiln's takes.
    fn taken(&self) -> usize {
        self.tensors.keys().filter(|leaf| *leaf != COUNTER).count()
    }
}

/// The module and what a tensor is called within it, where its name is one of PyTorch's.
fn split(name: &str) -> Option<(&str, &str)> {
    let (path, leaf) = name.rsplit_once('.').unwrap_or(("", name));
    let is_recurrent = RECURRENT.iter().any(|stem| leaf.starts_with(stem));
    (LEAVES.contains(&leaf) || is_recurrent).then_some((path, leaf))
}

/// Whether names are those of PyTorch's modules.
pub(super) fn is_torch(names: &[&str]) -> bool {
    names.iter().any(|name| split(name).is_some())
}

/// The modules of a file, in the order of their names and of the numbers in them.
fn modules(names: &[&str]) -> Vec<Module> {
    let all: HashSet<&str> = names.iter().copied().collect();
    let mut found: BTreeMap<_, Module> = BTreeMap::new();
    for name in names {
        let Some((path, leaf)) = split(name) else { continue };
        let (path, leaf) = place(&all, path, leaf);
        let module = found.entry(parts(&path)).or_insert_with(|| Module { path, tensors: BTreeMap::new() });
        module.tensors.insert(leaf, name.to_string());
    }
    found.into_values().collect()
}

/// The module that a tensor is of, and what it is called within it: each layer of a recurrent module is one, and what attention
/// ends with is a part of it.
fn place(all: &HashSet<&str>, path: &str, leaf: &str) -> (String, String) {
    let outer = match path.rsplit_once('.') {
        Some((outer, OUT)) => Some(outer),
        None if path == OUT => Some(""),
        _ => None,
    };
    if let Some(outer) = outer.filter(|outer| all.contains(joined(outer, "in_proj_weight").as_str())) {
        return (outer.to_string(), format!("{OUT}.{leaf}"));
    }
    let recurrent = RECURRENT.iter().find_map(|stem| Some((stem, leaf.strip_prefix(stem)?)));
    let Some((stem, rest)) = recurrent else { return (path.to_string(), leaf.to_string()) };
    let (layer, way) = rest.split_once('_').map_or((rest, String::new()), |(layer, way)| (layer, format!("_{way}")));
    // A module of one layer is that layer.
    let is_one = !all.contains(joined(path, "weight_ih_l1").as_str());
    let path = if is_one { path.to_string() } else { joined(path, &format!("l{layer}")) };
    (path, format!("{}{way}", stem.trim_end_matches("_l")))
}

fn joined(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_string() } else { format!("{path}.{name}") }
}

/// What one module gives a layer: of each of its weights the tensors and how they lie.
type Fit = Vec<(usize, Layout)>;

/// The model's layers, the file's modules, and which of them go together.
struct Pairing<'p, 'm> {
    wanted: &'p Wanted<'m>,
    targets: Vec<Target<'m>>,
    modules: Vec<Module>,
    /// By layer and module.
    fits: HashMap<(usize, usize), Fit>,
    /// The module of each layer.
    paired: Vec<Option<usize>>,
    /// Why a layer has none.
    why: Vec<Option<String>>,
}

/// What of a file are weights of a model, by PyTorch's names: modules and layers go together by their names where they have the same,
/// else by what they are and by their shapes, those that are alike by their numbers.
///
/// # Errors
/// Where it cannot be told which module is which layer, or in which order a layer reads what it is given.
pub(super) fn matched(wanted: &Wanted<'_>, file: &TensorFile, names: &[&str]) -> Result<Matched, String> {
    let orders = orders(wanted.network, &wanted.built.samples).map_err(|e| e.to_string())?;
    let (targets, modules) = (wanted.targets(), modules(names));
    let (paired, why) = (vec![None; targets.len()], vec![None; targets.len()]);
    let mut pairing = Pairing { wanted, targets, modules, fits: HashMap::new(), paired, why };
    pairing.find_fits(file, &orders);
    pairing.pair_by_name();
    pairing.pair_the_rest()?;
    pairing.taken(file, names)
}

impl Pairing<'_, '_> {
    /// Finds which modules have what a layer takes.
    fn find_fits(&mut self, file: &TensorFile, orders: &HashMap<String, Order>) {
        for (t, target) in self.targets.iter().enumerate() {
            let Some(layer) = self.wanted.network.layer(target.layer) else { continue };
            let order = orders.get(target.layer).unwrap_or(&Order::Same);
            let weights: Vec<_> = target.weights.iter().map(|&i| (i, &self.wanted.parameters()[i])).collect();
            let layouts = match layouts::of(&**layer, &weights, order) {
                Ok(layouts) => layouts,
                Err(why) => {
                    self.why[t] = Some(why);
                    continue;
                }
            };
            let tensors: HashSet<&str> = layouts.iter().flat_map(|(_, layout)| layout.leaves()).collect();
            for (m, module) in self.modules.iter().enumerate() {
                if tensors.len() == module.taken() && layouts.iter().all(|(_, layout)| layout.fits(module, file)) {
                    self.fits.insert((t, m), layouts.clone());
                }
            }
        }
    }

    /// Pairs layers and modules of one name. Where such do not fit, neither goes with another.
    fn pair_by_name(&mut self) {
        let plain = |path: &str| path.replace(['.', '/'], "_");
        let own = |path: &str| path.rsplit(['.', '/']).next().unwrap_or(path).to_string();
        let is_name = |name: &str| name.contains(|c: char| c.is_alphabetic());
        for reads in [&plain as &dyn Fn(&str) -> String, &own] {
            let layers: Vec<String> = self.targets.iter().map(|target| reads(target.layer)).collect();
            let modules: Vec<String> = self.modules.iter().map(|module| reads(&module.path)).collect();
            for (t, name) in layers.iter().enumerate() {
                let of_name = |m: &usize| modules[*m] == *name && self.is_free(*m);
                let alike: Vec<usize> = (0..modules.len()).filter(of_name).collect();
                let is_only = layers.iter().filter(|other| *other == name).count() == 1;
                let ([m], true, true) = (&alike[..], is_only, is_name(name) && self.is_open(t)) else { continue };
                match self.fits.contains_key(&(t, *m)) {
                    true => self.paired[t] = Some(*m),
                    false => {
                        let path = &self.modules[*m].path;
                        self.why[t] =
                            Some(format!("{path} of the file has its name, and not its tensors or their shapes"));
                        self.fits.retain(|&(layer, module), _| layer != t && module != *m);
                    }
                }
            }
        }
    }

    fn is_free(&self, module: usize) -> bool {
        !self.paired.contains(&Some(module))
    }

    fn is_open(&self, layer: usize) -> bool {
        self.paired[layer].is_none() && self.why[layer].is_none()
    }

    /// Pairs what is left by shape.
    fn pair_the_rest(&mut self) -> Result<(), String> {
        for t in 0..self.targets.len() {
            if !self.is_open(t) {
                continue;
            }
            let (layers, modules) = self.group(t);
            if modules.is_empty() {
                continue;
            }
            let names = || modules.iter().map(|&m| self.modules[m].path.as_str());
            let is_one_order = names().all(|name| stem(name) == stem(&self.modules[modules[0]].path));
            let all_fit = layers.iter().all(|&t| modules.iter().all(|&m| self.fits.contains_key(&(t, m))));
            if layers.len() == modules.len() && all_fit && is_one_order {
                layers.iter().zip(&modules).for_each(|(&t, &m)| self.paired[t] = Some(m));
                continue;
            }
            let layers: Vec<&str> = layers.iter().map(|&t| self.targets[t].layer).collect();
            return Err(format!(
                "is ambiguous: {} may be {}, which have the same shapes and no order by numbers, or are not as many; give the \
                 layers the names of their modules",
                layers.join(", "),
                names().collect::<Vec<_>>().join(", ")
            ));
        }
        Ok(())
    }

    /// The layers and the modules that a layer's fits lead to, and theirs, in their orders.
    fn group(&self, layer: usize) -> (Vec<usize>, Vec<usize>) {
        let (mut layers, mut modules, mut open) = (vec![layer], Vec::new(), vec![layer]);
        while let Some(t) = open.pop() {
            let reached: Vec<usize> =
                (0..self.modules.len()).filter(|&m| self.is_free(m) && self.fits.contains_key(&(t, m))).collect();
            for m in reached.into_iter().filter(|m| !modules.contains(m)).collect::<Vec<_>>() {
                modules.push(m);
                let fitting = |t: &usize| self.is_open(*t) && self.fits.contains_key(&(*t, m));
                for t in (0..self.targets.len()).filter(fitting).filter(|t| !layers.contains(t)).collect::<Vec<_>>() {
                    layers.push(t);
                    open.push(t);
                }
            }
        }
        layers.sort_unstable();
        modules.sort_unstable();
        (layers, modules)
    }

    /// The weights of what was paired.
    fn taken(mut self, file: &TensorFile, names: &[&str]) -> Result<Matched, String> {
        let mut report = WeightMatches { weights: self.wanted.parameters().len(), ..WeightMatches::default() };
        let (mut weights, mut used) = (Vec::new(), HashSet::new());
        for (t, target) in self.targets.iter().enumerate() {
            let Some(m) = self.paired[t] else {
                let why = self.why[t].take().unwrap_or_else(|| ABSENT.into());
                report.left.push((target.layer.into(), why));
                continue;
            };
            let module = &self.modules[m];
            used.extend(module.tensors.values().map(String::as_str));
            for (index, layout) in self.fits.remove(&(t, m)).unwrap_or_default() {
                let tensors: Vec<String> =
                    layout.leaves().filter_map(|leaf| module.tensor(leaf)).map(Into::into).collect();
                let parameter = &self.wanted.parameters()[index];
                let weight = layout.weight(&Source { module, file }, &parameter.shape);
                weights.push((index, weight.map_err(|e| format!("{}: {e}", parameter.path()))?));
                report.matched.push(WeightMatch { weight: parameter.path(), tensors, how: layout.how() });
            }
            let layer = self.wanted.network.layer(target.layer);
            let epsilon = layer.and_then(|layer| layer.config().take_or("epsilon", None::<f64>).ok().flatten());
            if let Some(epsilon) = epsilon.filter(|&epsilon| epsilon != EPSILON) {
                report.notes.push(format!(
                    "{}: its epsilon is {epsilon}, PyTorch's is {EPSILON} unless it was told another; the file does not say",
                    target.layer
                ));
            }
        }
        report.unused = names.iter().filter(|name| !used.contains(**name)).map(|name| name.to_string()).collect();
        Ok((weights, report))
    }
}
