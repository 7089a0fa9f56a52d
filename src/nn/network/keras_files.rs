//! Where Keras' files keep a network's weights.

use std::collections::{HashMap, HashSet};

use super::order::Member;
use super::{Network, path_of, snake_case};
use crate::io::hdf5::Hdf5;
use crate::nn::Parameter;
use crate::nn::nested::Nested;
use crate::tensor::Tensor;

impl Network {
    /// The groups of Keras' files that have the layers that are no networks, by the layers' paths here: Keras counts the layers of a
    /// class within a network, whatever their names are.
    fn keras_groups(&self, within: &str) -> HashMap<String, String> {
        let (mut found, mut counts) = (HashMap::new(), HashMap::<String, usize>::new());
        let members: Vec<usize> = match self.is_sequential() {
            true => (0..self.layers.len()).collect(),
            false => self.members().into_iter().filter_map(Member::layer).collect(),
        };
        for (name, layer) in members.into_iter().map(|member| &self.layers[member]) {
            let class = snake_case(layer.kind());
            let count = counts.entry(class.clone()).or_insert(0);
            let group = if *count == 0 { class } else { format!("{class}_{count}") };
            *count += 1;
            let group = format!("{within}layers/{group}/");
            match layer.nested() {
                None => drop(found.insert(name.clone(), group)),
                Some(Nested { network, .. }) => {
                    let inside = network.keras_groups(&group).into_iter();
                    found.extend(inside.map(|(path, group)| (path_of(name, &path), group)));
                }
            }
        }
        found
    }

    /// The paths of weights in Keras' files: `layers/dense_1/vars/0`. Of a layer, or a part of it, states come last.
    pub fn keras_variables(&self, parameters: &[Parameter]) -> Vec<String> {
        let groups = self.keras_groups("");
        let group = |p: &Parameter| {
            let inner = self.layer(&p.layer).map(|layer| layer.keras_group(&p.name)).unwrap_or_default();
            let slash = if inner.is_empty() { "" } else { "/" };
            format!("{}{inner}{slash}vars/", groups[&p.layer])
        };
        let mut counts = HashMap::new();
        let mut paths = vec![String::new(); parameters.len()];
        for is_state in [false, true] {
            for (path, parameter) in paths.iter_mut().zip(parameters).filter(|(_, p)| p.is_state == is_state) {
                let group = group(parameter);
                let count = counts.entry(group.clone()).or_insert(0);
                *path = format!("{group}{count}");
                *count += 1;
            }
        }
        paths
    }

    /// The weights in one of Keras' files, each of which is to be a layer's here.
    pub fn keras_weights(&self, file: &Hdf5, parameters: &[Parameter]) -> std::result::Result<Vec<Tensor>, String> {
        let paths = self.keras_variables(parameters);
        let known: HashSet<&str> = paths.iter().map(String::as_str).collect();
        let is_strange = |path: &&str| path.starts_with("layers/") && !known.contains(path);
        if let Some(path) = file.paths().find(is_strange) {
            return Err(format!("has {path:?}, which is no weight of the model's"));
        }
        let read = |(path, parameter): (&String, &Parameter)| {
            file.tensor(path, &parameter.shape).map_err(|e| format!("weight {}: {e}", parameter.path()))
        };
        paths.iter().zip(parameters).map(read).collect()
    }
}
