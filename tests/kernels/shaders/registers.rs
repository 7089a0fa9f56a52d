//! What kernels keep in registers is never indexed by a variable.

use naga::proc::TypeResolution;
use naga::valid::FunctionInfo;
use naga::{AddressSpace, Expression, Function, Handle, Module, TypeInner};

use super::Checked;

/// The functions of a module that index an array, a matrix or a vector of their own, or of their invocation, by a variable. DX12
/// compiles such an index slowly or not at all, and other drivers move what is indexed so from registers to memory.
pub fn indexed_by_variables(checked: &Checked) -> Vec<String> {
    let Checked { module, info } = checked;
    let entries = module.entry_points.iter().enumerate();
    let entries = entries.map(|(i, entry)| (entry.name.clone(), &entry.function, info.get_entry_point(i)));
    let functions = module.functions.iter();
    let functions = functions.map(|(handle, f)| (f.name.clone().unwrap_or_default(), f, &info[handle]));
    entries.chain(functions).filter_map(|(name, f, info)| indexes(module, f, info).then_some(name)).collect()
}

fn indexes(module: &Module, function: &Function, info: &FunctionInfo) -> bool {
    function.expressions.iter().any(|(_, expression)| match expression {
        Expression::Access { base, index } => is_register(module, &info[*base].ty) && !is_constant(function, *index),
        _ => false,
    })
}

/// Whether the type is of a value, or of a pointer to a variable of the function or the invocation.
fn is_register(module: &Module, ty: &TypeResolution) -> bool {
    match ty.inner_with(&module.types) {
        TypeInner::Pointer { space, .. } | TypeInner::ValuePointer { space, .. } => {
            matches!(space, AddressSpace::Function | AddressSpace::Private)
        }
        _ => true,
    }
}

/// Whether an index is known when a pipeline is made.
fn is_constant(function: &Function, index: Handle<Expression>) -> bool {
    match &function.expressions[index] {
        Expression::Literal(_) | Expression::Constant(_) | Expression::Override(_) | Expression::ZeroValue(_) => true,
        Expression::Unary { expr, .. } | Expression::As { expr, .. } => is_constant(function, *expr),
        Expression::Binary { left, right, .. } => is_constant(function, *left) && is_constant(function, *right),
        _ => false,
    }
}

#[test]
fn registers_are_told_from_memory() {
    for (body, indexed) in [
        ("var a: array<f32, 4>; a[id.x] = 1.0; y[0] = a[0];", true),
        ("var a = array(1.0, 2.0); y[0] = a[id.x];", true),
        ("let a = array(1.0, 2.0); for (var k = 0u; k < 2u; k++) { y[k] = a[k]; }", true),
        ("var v = vec4<f32>(); for (var k = 0u; k < 4u; k++) { v[k] = y[k]; } y[0] = v.x;", true),
        ("let m = mat4x4<f32>(); y[0] = m[id.x].x;", true),
        ("var m = mat4x4<f32>(); m[1][id.x] = 2.0; y[0] = m[1].x;", true),
        ("mine[id.x] = 1.0; y[0] = mine[0];", true),
        ("var a: array<f32, 4>; y[0] = at(&a, id.x);", true),
        ("y[0] = f32(id[id.y % 3u]);", true),
        ("y[0] = p.axes[id.x].y;", false),
        ("y[0] = p.axes[1][id.x];", false),
        ("y[id.x] = y[id.y]; shared_ones[id.x] = 1.0;", false),
        ("var a: array<f32, 4>; a[2] = 1.0; a[N] = 1.0; a[N + 1u] = 2.0; y[id.x] = a[1] + a[2];", false),
        ("var m = mat4x4<f32>(); m[1] = vec4(1.0); y[0] = m[1].x + m[N][0];", false),
    ] {
        // A function that no case calls would be complained of in each.
        let helper = "fn at(a: ptr<function, array<f32, 4>>, i: u32) -> f32 { return (*a)[i]; }";
        let helper = if body.contains("at(&a") { helper } else { "" };
        let text = format!(
            "struct P {{ axes: array<vec4<f32>, 4> }} override N: u32 = 1;
            var<private> mine: array<f32, 4>; var<workgroup> shared_ones: array<f32, 64>;
            @group(0) @binding(0) var<uniform> p: P; @group(0) @binding(1) var<storage, read_write> y: array<f32>;
            {helper}
            @compute @workgroup_size(64) fn f(@builtin(global_invocation_id) id: vec3<u32>) {{
                {body}
            }}"
        );
        let checked = super::parse(&text).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(!indexed_by_variables(&checked).is_empty(), indexed, "{body}");
    }
}
