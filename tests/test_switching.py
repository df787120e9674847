"""docs/switching.md names flags and settings that there are."""

import re

import pytest
from test_docs import DOCS, rows

from sgmse.cli import main as cli
from sgmse.errors import RecipeError
from sgmse.training.recipe_files import load_recipe, shipped

PAGE = (DOCS / "switching.md").read_text("utf-8")
TABLES = dict(zip(("train", "enhance", "score"), rows(PAGE), strict=True))
#: What the argument parsers of the published main branch take.
PUBLISHED = {
    "train": "backbone sde nolog wandb_name ckpt log_dir save_ckpt_interval accelerator devices "
    "accumulate_grad_batches max_epochs lr ema_decay t_eps num_eval_files loss_type "
    "loss_weighting network_scaling c_in c_out c_skip sigma_data l1_weight pesq_weight sr "
    "base_dir format batch_size n_fft hop_length num_frames window num_workers dummy spec_factor "
    "spec_abs_exponent normalize transform_type theta sigma-min sigma-max N sampler_type k c eps "
    "nf ch_mult num_res_blocks attn_resolutions no-centered centered",
    "enhance": "test_dir enhanced_dir ckpt sampler_type corrector corrector_steps snr N device "
    "t_eps",
    "score": "clean_dir noisy_dir enhanced_dir",
}


def ours(command: str) -> list[str]:
    """What stands in the columns that are of this package."""
    return [
        code for row in TABLES[command] for cell in row[1:] for code in re.findall("`(.*?)`", cell)
    ]


@pytest.mark.parametrize("command", TABLES)
def test_every_published_flag_has_its_row(command):
    named = " ".join(row[0] for row in TABLES[command])
    flags = set(re.findall(r"--([\w-]+)", named))
    assert flags == set(PUBLISHED[command].split())


@pytest.mark.parametrize("command", TABLES)
def test_our_flags_exist(command, capsys):
    with pytest.raises(SystemExit):
        cli.main([command, "--help"])
    taken = set(re.findall(r"--[\w-]+", capsys.readouterr().out))
    flags = [code for code in ours(command) if code.startswith("--")]
    assert flags
    assert not set(flags) - taken
    for code in ours(command):
        if code.startswith("sgmse ") and code != "sgmse info":
            assert cli.parsed(code.split()[1:]).run


@pytest.mark.slow
def test_our_settings_are_read():
    settings = [code for code in ours("train") if re.match(r"[a-z_.]+=", code)]
    assert len(settings) > 30
    # Those of other places in a recipe together: what takes long is to make its network.
    groups: list[tuple[str, dict[str, str]]] = []
    for setting in settings:
        bridge = setting.startswith(("sde.k", "sde.c", "loss={class: Rec"))
        name, place = "sb_ve" if bridge else "sgmse_plus_16k", setting.partition("=")[0]
        for recipe, group in groups:
            if recipe == name and not any(
                place.startswith(p) or p.startswith(place) for p in group
            ):
                group[place] = setting
                break
        else:
            groups.append((name, {place: setting}))
    for recipe, group in groups:
        load_recipe(recipe, [*group.values()])
    with pytest.raises(RecipeError):
        load_recipe("sgmse_plus_16k", ["network.attention=[16]"])


def test_its_recipes_are_shipped():
    listed = re.search(r"are recipes: (.*?)\.\n", PAGE, re.S)[1]
    assert set(re.findall("`(.*?)`", listed)) <= set(shipped())
