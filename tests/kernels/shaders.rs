//! Every kernel as it is compiled, without a device: valid for naga and tint, translated to what each backend takes,
//! and the same as Rust says: bindings, params, constants, limits, files.
//!
//! A launch is one that an op's case makes on either kind of adapter, so a kernel that no case reaches is found too.

mod candidates;
mod counting;
mod long;
mod loops;
mod needed;
mod registers;
mod rounds;
mod tint;
mod translate;
mod values;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use kiln::ops::{Binding, Dispatch, Io, Module, Target, all_cases};
use kiln::tensor::DType;
use naga::back::{PipelineConstants, pipeline_constants::process_overrides};
use naga::valid::{
    Capabilities, GlobalUse, ModuleInfo, ShaderStages, SubgroupOperationSet, ValidationFlags, Validator,
};
use naga::{AddressSpace, GlobalVariable, Handle, ResourceBinding, ScalarKind, ShaderStage, StorageAccess, TypeInner};

/// What every adapter of WebGPU's default limits has: a kernel that needs more needs a smaller sibling.
const MOST_STORAGE_BUFFERS: usize = 8;
const MOST_WORKGROUPS: u32 = 65_535;
const MOST_INVOCATIONS: u32 = 256;

/// Modules whose buffers are u32 whatever they hold: words that are moved keep every bit of a NaN.
const MOVES_WORDS: &[&str] = &["copy", "gather"];

/// A launch of an op's case.
struct Launch {
    /// Op, case and kind of adapter.
    label: String,
    /// The number of the case and adapter: an op may take several launches for one.
    node: usize,
    dispatch: Dispatch,
    io: Io,
    target: Target,
}

/// A module that naga has parsed and validated.
struct Checked {
    module: naga::Module,
    info: ModuleInfo,
}

/// All launches, and the distinct modules by stem.
struct All {
    launches: Vec<Launch>,
    modules: BTreeMap<&'static str, Module>,
    checked: BTreeMap<&'static str, Result<Checked, String>>,
}

static ALL: LazyLock<All> = LazyLock::new(|| {
    let launches = launches();
    let modules: BTreeMap<_, _> = launches.iter().map(|l| (l.dispatch.module.stem, l.dispatch.module)).collect();
    let checked = modules.iter().map(|(&stem, module)| (stem, parse(&module.text()))).collect();
    All { launches, modules, checked }
});

impl All {
    /// The module of a launch. One that is not valid is `modules_are_valid`'s to report.
    fn checked(&self, dispatch: &Dispatch) -> &Checked {
        let stem = dispatch.module.stem;
        self.checked[stem].as_ref().unwrap_or_else(|e| panic!("{stem}.wgsl is not valid: {e}"))
    }

    /// One launch for each pipeline: module, entry point and constants.
    fn pipelines(&self) -> impl Iterator<Item = &Launch> {
        let mut seen = BTreeSet::new();
        self.launches.iter().filter(move |launch| {
            let d = &launch.dispatch;
            seen.insert(format!("{} {} {:?}", d.module.stem, d.entry, d.constants))
        })
    }
}

fn launches() -> Vec<Launch> {
    let (mut launches, mut node) = (Vec::new(), 0);
    for case in all_cases().iter().filter(|case| !case.op.is_view()) {
        let io = case.io().expect("cases are legal");
        for target in Target::all() {
            node += 1;
            for dispatch in case.op.gpu(&io, &target) {
                let label = format!("{} {} on {target:?}", case.op.name(), case.label);
                launches.push(Launch { label, node, dispatch, io: io.clone(), target: target.clone() });
            }
        }
    }
    launches.extend(candidates::launches(node));
    launches
}

fn parse(text: &str) -> Result<Checked, String> {
    let module = naga::front::wgsl::parse_str(text).map_err(|e| e.emit_to_string(text))?;
    let info = validate(&module, text)?;
    Ok(Checked { module, info })
}

/// Validates with no capability beyond WebGPU's own but subgroups, where the text has them: the others run anywhere.
fn validate(module: &naga::Module, text: &str) -> Result<ModuleInfo, String> {
    let allowed = if has_subgroups(text) { Capabilities::SUBGROUP } else { Capabilities::empty() };
    let mut validator = Validator::new(ValidationFlags::all(), allowed);
    validator.subgroup_stages(ShaderStages::COMPUTE).subgroup_operations(SubgroupOperationSet::all());
    validator.validate(module).map_err(|e| e.emit_to_string(text))
}

fn has_subgroups(text: &str) -> bool {
    text.contains("subgroupBroadcast(")
}

/// The launch's module as its pipeline has it: the entry point alone, each override a constant.
fn resolve(dispatch: &Dispatch) -> Result<Checked, String> {
    let module = with_constants(dispatch)?;
    let info = validate(&module, &dispatch.module.text())?;
    Ok(Checked { module, info })
}

/// The module of [`resolve`], which nobody has validated.
fn with_constants(dispatch: &Dispatch) -> Result<naga::Module, String> {
    let checked = ALL.checked(dispatch);
    let constants: PipelineConstants = dispatch.constants.iter().map(|&(k, v)| (k.to_string(), v)).collect();
    let entry = Some((ShaderStage::Compute, dispatch.entry));
    let resolved = process_overrides(&checked.module, &checked.info, entry, &constants);
    Ok(resolved.map_err(|e| format!("{e:?}"))?.0.into_owned())
}

/// The entry point's place in the module, or the panic that says which there are.
fn entry_index(module: &naga::Module, launch: &Launch) -> usize {
    entry_index_of(module, launch.dispatch.entry)
}

fn entry_index_of(module: &naga::Module, entry: &str) -> usize {
    let names: Vec<&str> = module.entry_points.iter().map(|e| e.name.as_str()).collect();
    let found = names.iter().position(|&name| name == entry);
    found.unwrap_or_else(|| panic!("the module has no entry point {entry}, but {names:?}"))
}

/// The variables with a binding that an entry point uses. This is where an automatic layout comes from, and it is
/// made before overrides are resolved: what a constant switches off counts as used.
fn used<'a>(
    checked: &'a Checked,
    launch: &Launch,
) -> impl Iterator<Item = (ResourceBinding, &'a GlobalVariable, GlobalUse)> + use<'a> {
    let uses = checked.info.get_entry_point(entry_index(&checked.module, launch));
    let globals = checked.module.global_variables.iter();
    globals.filter_map(move |(handle, v)| Some((v.binding?, v, uses[handle]))).filter(|(_, _, u)| !u.is_empty())
}

/// Fails with every complaint, each once.
fn report(complaints: impl IntoIterator<Item = String>) {
    let complaints: BTreeSet<String> = complaints.into_iter().collect();
    let mut text = String::new();
    for complaint in complaints.iter().take(20) {
        write!(text, "\n  {complaint}").expect("strings take all");
    }
    assert!(complaints.is_empty(), "{} complaints:{text}", complaints.len());
}

/// Fails with every complaint about a kernel, each with the first launch that shows it.
fn report_launches<'a>(complaints: impl IntoIterator<Item = (&'a Launch, String)>) {
    let mut first = BTreeMap::new();
    for (launch, complaint) in complaints {
        let kernel = format!("{}.wgsl, {}: {complaint}", launch.dispatch.module.stem, launch.dispatch.entry);
        first.entry(kernel).or_insert(&launch.label);
    }
    report(first.into_iter().map(|(complaint, label)| format!("{complaint} (seen in {label})")));
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The WGSL files of a folder, sorted.
fn wgsl_files(folder: &str) -> Vec<PathBuf> {
    let folder = root().join(folder);
    let entries = std::fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("a readable folder").path()).collect();
    files.retain(|path| path.extension().is_some_and(|e| e == "wgsl"));
    files.sort();
    assert!(!files.is_empty(), "{} holds no shaders", folder.display());
    files
}

fn stem(path: &Path) -> &str {
    path.file_stem().and_then(|s| s.to_str()).expect("shader files have names")
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

#[test]
fn modules_are_valid() {
    report(ALL.checked.iter().filter_map(|(stem, c)| Some(format!("{stem}.wgsl: {}", c.as_ref().err()?))));
    let resolved = ALL.pipelines().map(|launch| (launch, resolve(&launch.dispatch)));
    report_launches(resolved.filter_map(|(launch, r)| Some((launch, format!("with its constants: {}", r.err()?)))));
}

#[test]
fn pipelines_translate_for_vulkan_metal_and_dx12() {
    let mut complaints = Vec::new();
    for launch in ALL.pipelines() {
        // One that does not resolve is `modules_are_valid`'s to report.
        let Ok(resolved) = resolve(&launch.dispatch) else { continue };
        for (backend, result) in [
            ("SPIR-V", translate::to_spirv(&resolved, launch)),
            ("MSL", translate::to_msl(&resolved, launch)),
            ("HLSL", translate::to_hlsl(&resolved, launch)),
        ] {
            match result {
                Ok(0) => complaints.push((launch, format!("is empty in {backend}"))),
                Ok(_) => {}
                Err(e) => complaints.push((launch, format!("to {backend}: {e}"))),
            }
        }
    }
    report_launches(complaints);
}

/// lavapipe (Mesa 22.3) may put the numbers of such uniforms into the kernel and compile it anew at every dispatch, which took
/// 11 ms of a step: docs/rejected.md. A counter that starts where the invocation does is safe.
#[test]
fn no_loop_is_bounded_by_uniforms_alone() {
    // A module that is not valid is `modules_are_valid`'s to report.
    let modules = ALL.checked.iter().filter_map(|(stem, checked)| Some((stem, &checked.as_ref().ok()?.module)));
    report(modules.flat_map(|(stem, module)| {
        loops::bounded_by_uniforms(module)
            .into_iter()
            .map(move |f| format!("{stem}.wgsl, {f}: a loop ends by uniforms"))
    }));
}

#[test]
fn registers_are_not_indexed_by_variables() {
    // A module that is not valid is `modules_are_valid`'s to report.
    let checked = ALL.checked.iter().filter_map(|(stem, checked)| Some((stem, checked.as_ref().ok()?)));
    report(checked.flat_map(|(stem, checked)| {
        let found = registers::indexed_by_variables(checked).into_iter();
        found.map(move |f| format!("{stem}.wgsl, {f}: a variable indexes what is in registers"))
    }));
}

#[test]
fn bindings_are_those_of_the_launch() {
    report_launches(ALL.launches.iter().flat_map(|l| wrong_bindings(l).into_iter().map(move |c| (l, c))));
}

fn wrong_bindings(launch: &Launch) -> Vec<String> {
    let (checked, bindings) = (ALL.checked(&launch.dispatch), &launch.dispatch.bindings);
    let mut complaints = Vec::new();
    let mut found: Vec<(u32, u32)> = used(checked, launch).map(|(at, ..)| (at.group, at.binding)).collect();
    found.sort_unstable();
    let wanted: Vec<(u32, u32)> = (0..bindings.len() as u32).map(|i| (0, i)).collect();
    if found != wanted {
        return vec![format!("uses the bindings {found:?}, the launch gives {wanted:?}")];
    }
    for (at, variable, usage) in used(checked, launch) {
        let binding = bindings[at.binding as usize];
        if let Err(e) = check_binding(&checked.module, variable, usage, binding, launch) {
            let name = variable.name.as_deref().unwrap_or("?");
            complaints.push(format!("binding {}, `{name}`, is given {binding:?}: {e}", at.binding));
        }
    }
    complaints.extend(too_many_buffers(bindings));
    complaints
}

fn too_many_buffers(bindings: &[Binding]) -> Option<String> {
    let storage = bindings.iter().filter(|b| **b != Binding::Params).count();
    (storage > MOST_STORAGE_BUFFERS)
        .then(|| format!("{storage} storage buffers, some adapters allow {MOST_STORAGE_BUFFERS}"))
}

#[test]
fn a_ninth_storage_buffer_is_complained_of() {
    let inputs = |count| (0..count).map(Binding::Input).chain([Binding::Params]).collect::<Vec<_>>();
    assert_eq!(too_many_buffers(&inputs(8)), None);
    assert!(too_many_buffers(&inputs(9)).is_some());
}

fn check_binding(
    module: &naga::Module,
    variable: &GlobalVariable,
    usage: GlobalUse,
    binding: Binding,
    launch: &Launch,
) -> Result<(), String> {
    let (wanted, ty) = match binding {
        Binding::Input(i) => (AddressSpace::Storage { access: StorageAccess::LOAD }, launch.io.inputs.get(i)),
        Binding::Output(i) => {
            (AddressSpace::Storage { access: StorageAccess::LOAD | StorageAccess::STORE }, launch.io.outputs.get(i))
        }
        Binding::Params => (AddressSpace::Uniform, None),
        // One launch writes it, another reads it; what it holds is their affair.
        Binding::Scratch(_) | Binding::SecondScratch(_) => (variable.space, None),
    };
    if variable.space != wanted {
        return Err(format!("declared {:?}, expected {wanted:?}", variable.space));
    }
    if matches!(binding, Binding::Params | Binding::Scratch(_) | Binding::SecondScratch(_)) {
        return Ok(());
    }
    let ty = ty.ok_or("the node has none of that index")?;
    if matches!(binding, Binding::Output(_)) && !usage.contains(GlobalUse::WRITE) {
        return Err("is never written".into());
    }
    let wanted = if ty.dtype == DType::F32 { ScalarKind::Float } else { ScalarKind::Uint };
    let found = element_kind(module, variable.ty);
    if found == Some(wanted) || MOVES_WORDS.contains(&launch.dispatch.module.stem) {
        Ok(())
    } else {
        Err(format!("holds {found:?}, expected {wanted:?} for {}", ty.dtype))
    }
}

#[test]
fn launches_write_every_output() {
    let bound = ALL.launches.iter().flat_map(|l| l.dispatch.bindings.iter().map(move |b| (l.node, b)));
    let written: BTreeSet<(usize, usize)> =
        bound.filter_map(|(node, b)| if let Binding::Output(i) = b { Some((node, *i)) } else { None }).collect();
    let outputs = ALL.launches.iter().flat_map(|l| (0..l.io.outputs.len()).map(move |i| (l, i)));
    let missing = outputs.filter(|&(l, i)| !written.contains(&(l.node, i)));
    report_launches(missing.map(|(l, i)| (l, format!("no launch of its op writes output {i}"))));
}

/// What kind of number a buffer's type is made of.
fn element_kind(module: &naga::Module, ty: Handle<naga::Type>) -> Option<ScalarKind> {
    match module.types[ty].inner {
        TypeInner::Array { base, .. } => element_kind(module, base),
        TypeInner::Scalar(s) | TypeInner::Atomic(s) => Some(s.kind),
        TypeInner::Vector { scalar, .. } | TypeInner::Matrix { scalar, .. } => Some(scalar.kind),
        _ => None,
    }
}

#[test]
fn params_are_laid_out_as_in_rust() {
    report_launches(ALL.launches.iter().filter_map(|l| Some((l, check_params(l).err()?))));
}

fn check_params(launch: &Launch) -> Result<(), String> {
    let (checked, params) = (ALL.checked(&launch.dispatch), &launch.dispatch.params);
    let wanted: Vec<(&str, u32)> = params.fields().iter().zip(0u32..).map(|(&(name, _), i)| (name, 4 * i)).collect();
    let Some((_, variable, _)) = used(checked, launch).find(|(_, v, _)| v.space == AddressSpace::Uniform) else {
        return if wanted.is_empty() { Ok(()) } else { Err(format!("reads no uniform, the launch gives {wanted:?}")) };
    };
    let TypeInner::Struct { members, span } = &checked.module.types[variable.ty].inner else {
        return Err("the uniform is no struct".into());
    };
    let types = &checked.module.types;
    let mut found = Vec::new();
    for member in members {
        let name = member.name.as_deref().unwrap_or("?");
        let wrong = || format!("{name:?} is {:?}, expected u32, i32, f32 or an array of vec4", types[member.ty].inner);
        let words = words_of(types, member.ty).ok_or_else(wrong)?;
        found.extend((0..words).map(|i| (name, member.offset + 4 * i)));
    }
    if found != wanted {
        return Err(format!("the struct's fields and offsets are {found:?}, the launch's {wanted:?}"));
    }
    let bytes = params.to_bytes().len();
    if (*span as usize) > bytes {
        return Err(format!("the struct takes {span} bytes, the launch gives {bytes}"));
    }
    Ok(())
}

/// The 32-bit words of a field of a uniform. Uniforms pad the elements of arrays, but those of vec4 have no padding.
fn words_of(types: &naga::UniqueArena<naga::Type>, ty: Handle<naga::Type>) -> Option<u32> {
    match types[ty].inner {
        TypeInner::Scalar(naga::Scalar { kind: ScalarKind::Uint | ScalarKind::Sint | ScalarKind::Float, width: 4 }) => {
            Some(1)
        }
        TypeInner::Vector { size: naga::VectorSize::Quad, .. } => Some(4),
        TypeInner::Array { base, size: naga::ArraySize::Constant(n), .. } => Some(words_of(types, base)? * n.get()),
        _ => None,
    }
}

#[test]
fn constants_are_overrides() {
    report_launches(ALL.pipelines().flat_map(|launch| {
        let overrides = &ALL.checked(&launch.dispatch).module.overrides;
        let names: BTreeSet<&str> = overrides.iter().filter_map(|(_, o)| o.name.as_deref()).collect();
        let unknown = launch.dispatch.constants.iter().filter(|(name, _)| !names.contains(name));
        unknown.map(|(name, _)| (launch, format!("no override {name}, but {names:?}"))).collect::<Vec<_>>()
    }));
}

#[test]
fn launches_are_within_every_adapters_limits() {
    let grids = ALL.launches.iter().map(|l| (l, l.dispatch.workgroups));
    let wrong = grids.filter(|(_, grid)| grid.iter().any(|n| !(1..=MOST_WORKGROUPS).contains(n)));
    report_launches(
        wrong.map(|(l, grid)| (l, format!("{grid:?} workgroups, expected 1 to {MOST_WORKGROUPS} an axis"))),
    );
    let mut complaints = Vec::new();
    for launch in ALL.pipelines() {
        let Ok(resolved) = resolve(&launch.dispatch) else { continue };
        let (module, index) = (&resolved.module, entry_index(&resolved.module, launch));
        let size = module.entry_points[index].workgroup_size;
        if size.iter().product::<u32>() > MOST_INVOCATIONS || size[2] > 64 {
            complaints.push((launch, format!("workgroups of {size:?}, at most {MOST_INVOCATIONS} in all, 64 deep")));
        }
        let shared = module.global_variables.iter().filter(|(_, v)| v.space == AddressSpace::WorkGroup);
        let bytes: u32 = shared.map(|(_, v)| module.types[v.ty].inner.size(module.to_ctx()).next_multiple_of(16)).sum();
        let most = launch.target.workgroup_bytes;
        if bytes as usize > most {
            complaints.push((launch, format!("{bytes} bytes of workgroup memory, at most {most}")));
        }
    }
    report_launches(complaints);
}

#[test]
fn shaders_pair_with_ops_and_none_is_unused() {
    let mut complaints = Vec::new();
    for file in wgsl_files("shaders") {
        let stem = stem(&file);
        match ALL.modules.get(stem) {
            None => complaints.push(format!("shaders/{stem}.wgsl is in no launch of any case")),
            Some(module) if module.source != read(&file) => {
                complaints.push(format!("the module {stem} is not made of shaders/{stem}.wgsl"));
            }
            Some(_) => {}
        }
        // The kernels of an op may be in several files: matmul_subgroup.wgsl is matmul's.
        let folders = ["kernel", "ops/math", "ops/optim", "ops/step"];
        let op = |stem: &str| folders.iter().any(|f| root().join(format!("src/{f}/{stem}.rs")).exists());
        if !op(stem) && !stem.rsplit_once('_').is_some_and(|(family, _)| op(family)) {
            complaints.push(format!("shaders/{stem}.wgsl has no {stem}.rs in src/kernel or a folder of src/ops"));
        }
    }
    // Convolutions are launched by the kernels of products, with loads and stores of their own from lib/.
    let texts: BTreeSet<String> = wgsl_files("shaders").iter().map(|file| read(file)).collect();
    let missing = ALL.modules.values().filter(|module| !texts.contains(module.source));
    complaints.extend(missing.map(|module| format!("the module {} is made of no file of shaders/", module.stem)));
    for file in wgsl_files("shaders/lib") {
        let text = read(&file);
        if !ALL.modules.values().any(|m| m.libs.contains(&text.as_str())) {
            complaints.push(format!("shaders/lib/{}.wgsl is in no module", stem(&file)));
        }
    }
    for (&stem, checked) in &ALL.checked {
        let launched: BTreeSet<&str> =
            ALL.launches.iter().filter(|l| l.dispatch.module.stem == stem).map(|l| l.dispatch.entry).collect();
        for entry in checked.iter().flat_map(|c| &c.module.entry_points) {
            if !launched.contains(entry.name.as_str()) {
                complaints.push(format!("{stem}.wgsl: no case launches `{}` on either kind of adapter", entry.name));
            }
        }
    }
    report(complaints);
}

#[test]
fn shaders_open_with_their_formula() {
    let files = [wgsl_files("shaders"), wgsl_files("shaders/lib")].concat();
    let bare = files.iter().filter(|file| !read(file).starts_with("// "));
    report(bare.map(|file| format!("{} does not open with a comment", file.display())));
    let no_formula = wgsl_files("shaders").into_iter().filter(|file| {
        let text = read(file);
        let opening = text.lines().take_while(|line| line.starts_with("//"));
        !opening.into_iter().any(|line| line.contains('='))
    });
    report(no_formula.map(|file| format!("{} opens without a formula", file.display())));
}
