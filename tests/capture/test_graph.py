"""The layer graph equals, edge by edge, what is written here by hand."""

import pytest
import torch
from graph_models import (
    Branching,
    Checkpointed,
    DenseNet,
    Encoder,
    Forward,
    FunctionalBlock,
    Gated,
    LSTMClassifier,
    ResNet,
    UNet,
    ViT,
)
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812
from written import IMAGES, PADDING, SEQUENCES, TOKENS, VECTORS, contracted, edges, traced, written

from huelapse.capture.watch import Place


def test_everything_a_resnet_goes_through() -> None:
    assert edges(traced(ResNet(), IMAGES)) == written(
        """
        input > conv1 > bn1 > relu > layer1.0.conv1 > layer1.0.bn1 > layer1.0.relu#0
        layer1.0.relu#0 > layer1.0.conv2 > layer1.0.bn2 > layer1.0.add, relu > layer1.0.add
        layer1.0.add > layer1.0.relu#1
        layer1.0.relu#1 > layer2.0.conv1 > layer2.0.bn1 > layer2.0.relu#0
        layer2.0.relu#0 > layer2.0.conv2 > layer2.0.bn2 > layer2.0.add
        layer1.0.relu#1 > layer2.0.downsample.0 > layer2.0.downsample.1 > layer2.0.add
        layer2.0.add > layer2.0.relu#1 > pool > fc > output
        """
    )


@pytest.mark.parametrize("functional", [False, True])
def test_a_resnet_by_its_activations_has_joins_merged_into_them(functional: bool) -> None:
    trace = traced(ResNet(FunctionalBlock) if functional else ResNet(), IMAGES)
    assert contracted(trace) == written(
        """
        relu > layer1.0.relu#0 > layer1.0.relu#1, relu > layer1.0.relu#1
        layer1.0.relu#1 > layer2.0.relu#0 > layer2.0.relu#1, layer1.0.relu#1 > layer2.0.relu#1
        layer2.0.relu#1 > output
        """
    )
    assert [(join.path, join.activated) for join in trace.joins] == [
        ("layer1.0.add", True),
        ("layer2.0.add", True),
    ]
    consumers = [None, None] if functional else [Place(f"layer{i}.0.relu", 1) for i in (1, 2)]
    assert [join.consumer for join in trace.joins] == consumers


def test_a_resnet_by_its_convolutions_keeps_the_joins_as_junctions() -> None:
    trace = traced(ResNet(), IMAGES)
    convolutions = [node.path for node in trace.nodes if node.kind == "Conv2d"]
    assert contracted(trace, convolutions) == written(
        """
        conv1 > layer1.0.conv1 > layer1.0.conv2 > layer1.0.add<add>, conv1 > layer1.0.add<add>
        layer1.0.add<add> > layer2.0.conv1 > layer2.0.conv2 > layer2.0.add<add> > output
        layer1.0.add<add> > layer2.0.downsample.0 > layer2.0.add<add>
        """
    )


@pytest.mark.parametrize("own", [True, False])
def test_a_vision_transformer(own: bool) -> None:
    trace = traced(ViT(2, own=own), IMAGES)
    attention = "blocks.0.attn.qkv > blocks.0.attn.proj" if own else "blocks.0.attn"
    raw = f"""
        input > patch > blocks.0.norm1 > {attention} > blocks.0.add#0, patch > blocks.0.add#0
        blocks.0.add#0 > blocks.0.norm2 > blocks.0.mlp.fc1 > blocks.0.mlp.act > blocks.0.mlp.fc2
        blocks.0.mlp.fc2 > blocks.0.add#1, blocks.0.add#0 > blocks.0.add#1
        """
    second = raw.replace("blocks.0", "blocks.1").replace("patch", "blocks.0.add#1")
    second = second.replace("input > blocks.0.add#1 >", "blocks.0.add#1 >")
    assert edges(trace) == written(raw + second + "blocks.1.add#1 > norm > head > output")
    assert contracted(trace) == written(
        """
        blocks.0.add#0 > blocks.0.mlp.act > blocks.0.add#1, blocks.0.add#0 > blocks.0.add#1
        blocks.0.add#1 > blocks.1.add#0
        blocks.1.add#0 > blocks.1.mlp.act > blocks.1.add#1, blocks.1.add#0 > blocks.1.add#1
        blocks.1.add#1 > output
        """
    )
    assert [(join.path, join.consumer, join.giver, join.activated) for join in trace.joins] == [
        ("blocks.0.add#0", Place("blocks.0.norm2", 0), None, False),
        ("blocks.0.add#1", Place("blocks.1.norm1", 0), Place("blocks.0", 0), False),
        ("blocks.1.add#0", Place("blocks.1.norm2", 0), None, False),
        ("blocks.1.add#1", Place("norm", 0), Place("blocks.1", 0), False),
    ]
    assert {join.shape for join in trace.joins} == {(2, 5, 8)}


def test_a_vision_transformer_by_its_activations_alone_has_junctions() -> None:
    trace = traced(ViT(3), IMAGES)
    acts = [node.path for node in trace.nodes if node.activation]
    assert contracted(trace, acts) == written(
        """
        blocks.0.mlp.act > blocks.1.mlp.act > blocks.1.add#1<add>
        blocks.0.mlp.act > blocks.1.add#1<add>
        blocks.1.add#1<add> > blocks.2.mlp.act > blocks.2.add#1<add>
        blocks.1.add#1<add> > blocks.2.add#1<add> > output
        """
    )


def test_edges_of_a_transformer_grow_with_its_depth_and_not_with_the_square() -> None:
    def count(depth: int, kinds: tuple[str, ...] | None) -> int:
        trace = traced(ViT(depth, own=False), IMAGES)
        layers = None if kinds is None else [n.path for n in trace.nodes if n.kind in kinds]
        return len(contracted(trace, layers))

    for kinds in (None, ("GELU",), ("LayerNorm", "MultiheadAttention", "Linear", "GELU")):
        at_8, at_16, at_24 = (count(depth, kinds) for depth in (8, 16, 24))
        assert at_24 - at_16 == at_16 - at_8
        assert at_24 <= 11 * 24


def test_an_lstm_classifier() -> None:
    trace = traced(LSTMClassifier(), TOKENS)
    assert edges(trace) == written(
        """
        input > embed > broadcast_add, position > broadcast_add
        broadcast_add > lstm > upper > score > tanh > mul
        upper > mul > cat, upper > cat > fc > relu > out > output
        """
    )
    assert contracted(trace, ["embed", "lstm", "upper", "tanh", "relu"]) == written(
        """
        embed > lstm > upper > tanh > mul<mul>, upper > mul<mul> > cat<cat>
        upper > cat<cat> > relu > output
        """
    )
    assert contracted(trace) == {"tanh > relu", "relu > output"}
    assert not trace.joins  # positions are added too, but by broadcasting, and are constant


def test_the_branch_that_was_taken_is_the_graph() -> None:
    model = Branching()
    assert contracted(traced(model, VECTORS.abs())) == written(
        "relu > tanh > add, relu > add > output"
    )
    trace = traced(model, -VECTORS.abs())
    assert contracted(trace) == written("relu > silu#0 > silu#1 > output")
    assert edges(trace) == written(
        "input > stem > relu > right#0 > silu#0 > right#1 > silu#1 > head > output"
    )


def test_a_densenet_and_its_growing_list_of_features() -> None:
    trace = traced(DenseNet(), IMAGES)
    assert edges(trace) == written(
        """
        input > stem > layers.0.norm > layers.0.relu > layers.0.conv
        stem > layers.1.cat, layers.0.conv > layers.1.cat
        layers.1.cat > layers.1.norm > layers.1.relu > layers.1.conv
        stem > layers.2.cat, layers.0.conv > layers.2.cat, layers.1.conv > layers.2.cat
        layers.2.cat > layers.2.norm > layers.2.relu > layers.2.conv
        stem > cat, layers.0.conv > cat, layers.1.conv > cat, layers.2.conv > cat
        cat > relu > fc > output
        """
    )
    assert contracted(trace) == written(
        """
        layers.0.relu > layers.1.relu > layers.2.cat<cat>, layers.0.relu > layers.2.cat<cat>
        layers.2.cat<cat> > layers.2.relu
        layers.0.relu > relu, layers.1.relu > relu, layers.2.relu > relu, relu > output
        """
    )


def test_a_unet_and_its_skips() -> None:
    trace = traced(UNet(), IMAGES)
    assert edges(trace) == written(
        """
        input > down1 > relu#0 > pool#0 > down2 > relu#1 > pool#1 > middle > relu#2 > up > cat#0
        relu#1 > cat#0 > up2 > relu#3 > cat#1, relu#0 > cat#1 > up1 > relu#4 > cat#2
        input > cat#2 > last > output
        """
    )
    assert contracted(trace) == written(
        """
        relu#0 > relu#1 > relu#2 > cat#0<cat> > relu#3 > cat#1<cat> > relu#4 > output
        relu#1 > cat#0<cat>, relu#0 > cat#1<cat>
        """
    )


def test_squeeze_and_excitation_is_a_product() -> None:
    trace = traced(Gated(), IMAGES)
    assert edges(trace) == written(
        """
        input > conv1 > hardswish > se.pool > se.fc1 > se.act > se.fc2 > se.gate > se.mul
        hardswish > se.mul > conv2 > add, hardswish > add > fc > output
        """
    )
    assert contracted(trace) == written(
        """
        hardswish > se.act > se.gate > se.mul<mul>, hardswish > se.mul<mul>
        se.mul<mul> > add, hardswish > add > output
        """
    )


@pytest.mark.parametrize("padding", [None, PADDING])
def test_torchs_own_encoder_past_its_fused_path(padding: Tensor | None) -> None:
    layer = "encoder.layers.0."
    first = f"""
        {layer}self_attn > {layer}dropout1 > {layer}add#0 > {layer}norm1 > {layer}linear1
        {layer}linear1 > {layer}gelu > {layer}dropout > {layer}linear2 > {layer}dropout2
        {layer}dropout2 > {layer}add#1, {layer}norm1 > {layer}add#1 > {layer}norm2
        """
    second = first.replace("layers.0", "layers.1")
    expected = written(
        f"""{first}, {second}
        input > embed > {layer}self_attn, embed > {layer}add#0
        {layer}norm2 > encoder.layers.1.self_attn, {layer}norm2 > encoder.layers.1.add#0
        encoder.layers.1.norm2 > head > output
        """
    )
    if padding is not None:  # attention sees the mask as numbers, made from the input
        expected |= {f"input > encoder.layers.{i}.self_attn" for i in (0, 1)}
    trace = traced(Encoder(), SEQUENCES, padding)
    assert edges(trace) == expected
    assert [join.consumer for join in trace.joins] == [
        Place(f"encoder.layers.{i}.norm{j}", 0) for i in (0, 1) for j in (1, 2)
    ]


def test_attention_over_something_else_has_two_sources() -> None:
    model = Forward(
        lambda m, x: m.head(
            m.attn(F.relu(m.a(x)), F.silu(m.b(x)), value=F.gelu(m.c(x)))[0].mean(1)
        ),
        a=nn.Linear(4, 4),
        b=nn.Linear(4, 4),
        c=nn.Linear(4, 4),
        attn=nn.MultiheadAttention(4, 2, batch_first=True),
        head=nn.Linear(4, 3),
    )
    trace = traced(model, torch.randn(2, 5, 4))
    assert contracted(trace) == written(
        """
        relu > attn<MultiheadAttention>, silu > attn<MultiheadAttention>
        gelu > attn<MultiheadAttention> > output
        """
    )
    assert contracted(trace, ["relu", "gelu", "attn"]) == written(
        "relu > attn, gelu > attn > output"
    )


@pytest.mark.filterwarnings("ignore:None of the inputs have requires_grad")
@pytest.mark.parametrize("reentrant", [True, False])
def test_activation_checkpointing_hides_nothing(reentrant: bool) -> None:
    assert edges(traced(Checkpointed(reentrant=reentrant), VECTORS)) == written(
        "input > stem > relu > inner > tanh > add, relu > add > head > output"
    )
