"""
Vectors of float32 for numba: a type, and the few operations that a DTW cell needs.

LLVM's own vectoriser keeps the cells to the left and above in memory; vectors keep them in registers. LLVM
splits a vector wider than the machine's, so every width works everywhere.

The type of an argument `lanes` tells a kernel its width, `len(lanes)`: a tuple of integers asks for vectors,
of booleans for plain loops. Both are known when compiled.

Multiplication and addition are rounded separately: a fused operation would make results depend on the
machine.
"""

from __future__ import annotations

from typing import Any

import llvmlite.binding as llvm
from llvmlite import ir
from numba import extending
from numba.core import cgutils, types
from numba.extending import models, register_model
from numba.np.arrayobj import make_array

intrinsic: Any = extending.intrinsic  # its own annotation counts the typing context as an argument

WIDEST = 16  # lanes of an AVX-512 register
PLAIN = 32  # the compiler makes vectors of loops this long; longer ones waste lanes on small train sets


class FloatVector(types.Type):
    """The numba type of `count` float32 in one register."""

    def __init__(self, count: int):
        self.count = count
        super().__init__(name=f"float32x{count}")


@register_model(FloatVector)
class _FloatVectorModel(models.PrimitiveModel):
    def __init__(self, dmm, fe_type):
        super().__init__(dmm, fe_type, ir.VectorType(ir.FloatType(), fe_type.count))


def vector_lanes() -> tuple[int, ...]:
    """The tuple that asks for vectors of this machine's width."""
    wide = llvm.get_host_cpu_features().get("avx512f", False)
    return (0,) * (WIDEST if wide else WIDEST // 2)


def plain_lanes() -> tuple[bool, ...]:
    """The tuple that asks for plain loops."""
    return (False,) * PLAIN


def wants_vectors(lanes: types.Type) -> bool:
    """Whether the numba type of an argument `lanes` asks for vectors."""
    return isinstance(lanes, types.UniTuple) and isinstance(lanes.dtype, types.Integer)


def _address(context, builder, array_type, array, index, vector):
    data = make_array(array_type)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [index]), vector.as_pointer())


@intrinsic
def load(typingctx, array, index, lanes):
    """The vector that begins at a flat index of a float32 array."""
    vector = FloatVector(len(lanes))

    def codegen(context, builder, signature, args):
        address = _address(context, builder, array, args[0], args[1], context.get_value_type(vector))
        value = builder.load(address)
        value.align = 4
        return value

    return vector(array, types.intp, lanes), codegen


@intrinsic
def store(typingctx, array, index, value):
    """Write a vector at a flat index of a float32 array."""

    def codegen(context, builder, signature, args):
        address = _address(context, builder, array, args[0], args[1], args[2].type)
        builder.store(args[2], address, align=4)
        return context.get_dummy_value()

    return types.none(array, types.intp, value), codegen


@intrinsic
def splat(typingctx, number, lanes):
    """The same float32 in every lane."""
    vector = FloatVector(len(lanes))

    def codegen(context, builder, signature, args):
        kind = context.get_value_type(vector)
        at = ir.Constant(ir.IntType(32), 0)
        one = builder.insert_element(ir.Constant(kind, ir.Undefined), args[0], at)
        everywhere = ir.Constant(ir.VectorType(ir.IntType(32), vector.count), [0] * vector.count)
        return builder.shuffle_vector(one, ir.Constant(kind, ir.Undefined), everywhere)

    return vector(types.float32, lanes), codegen


@intrinsic
def add(typingctx, a, b):
    """The sum, lane by lane."""
    return a(a, b), lambda context, builder, signature, args: builder.fadd(*args)


@intrinsic
def squared_gap(typingctx, a, b):
    """(a - b) squared, lane by lane."""

    def codegen(context, builder, signature, args):
        gap = builder.fsub(*args)
        return builder.fmul(gap, gap)

    return a(a, b), codegen


@intrinsic
def lesser(typingctx, a, b):
    """The lesser of two vectors without NaN, lane by lane."""

    def codegen(context, builder, signature, args):
        return builder.select(builder.fcmp_ordered("<", *args), *args)

    return a(a, b), codegen


@intrinsic
def times(typingctx, a, b):
    """The product, lane by lane."""
    return a(a, b), lambda context, builder, signature, args: builder.fmul(*args)


@intrinsic
def where_positive(typingctx, mask, a, b):
    """`a` in the lanes where `mask` is above 0, `b` in the others."""

    def codegen(context, builder, signature, args):
        zero = ir.Constant(args[0].type, [0.0] * signature.return_type.count)
        return builder.select(builder.fcmp_ordered(">", args[0], zero), args[1], args[2])

    return a(mask, a, b), codegen


@intrinsic
def within(typingctx, a, low, high):
    """1 in the lanes where low <= a <= high, 0 in the others."""

    def codegen(context, builder, signature, args):
        value, lowest, highest = args
        both = builder.and_(
            builder.fcmp_ordered(">=", value, lowest), builder.fcmp_ordered("<=", value, highest)
        )
        count = signature.return_type.count
        return builder.select(
            both, ir.Constant(value.type, [1.0] * count), ir.Constant(value.type, [0.0] * count)
        )

    return a(a, low, high), codegen


@intrinsic
def any_at_most(typingctx, a, b):
    """Whether a <= b in any lane."""

    def codegen(context, builder, signature, args):
        bits = builder.bitcast(builder.fcmp_ordered("<=", *args), ir.IntType(signature.args[0].count))
        return cgutils.is_not_null(builder, bits)

    return types.boolean(a, b), codegen
