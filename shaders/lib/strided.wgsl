// Walks of up to six axes: extents and strides, the last axis first to change.

alias Axes = array<u32, 6>;

// The index that element i of a tensor of these extents has in one of these strides.
fn strided(i: u32, extents: Axes, strides: Axes) -> u32 {
    // Indexed by a variable, an array must be one.
    var e = extents;
    var s = strides;
    var rest = i;
    var at = 0u;
    for (var axis = 5u; axis < 6u; axis--) {
        at += (rest % e[axis]) * s[axis];
        rest /= e[axis];
    }
    return at;
}
