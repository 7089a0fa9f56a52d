// Where the operands of an element lie that are broadcast together: place k = sum over axes of coordinate * stride k.
//
// `axes` has AXES axes of the output from the innermost: x is the extent, y, z and w are the operands' strides, 0 for
// one that is repeated. Operands of one shape are one axis, which takes no division; a bias on rows is two, which take
// one. The kernel declares the uniform `params`.

override AXES: u32 = 1u;

struct Params {
    axes: array<vec4<u32>, 6>,
    n: u32,
}

fn places(i: u32) -> vec3<u32> {
    var rest = i;
    var at = vec3<u32>(0u);
    for (var k = 0u; k + 1u < AXES; k++) {
        let axis = params.axes[k];
        at += (rest % axis.x) * axis.yzw;
        rest /= axis.x;
    }
    // The outermost axis has no other to wrap into.
    return at + rest * params.axes[AXES - 1u].yzw;
}
