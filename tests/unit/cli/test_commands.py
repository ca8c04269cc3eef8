"""The commands, as a shell would call them."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
import zstandard

from anabranch.api import KINDS
from anabranch.cli import main

ROOT = Path(__file__).parents[3]
LIST = b"240.0.0.0/8,udp,2,32,6\n8.8.8.8,icmp,2,32,6\n"


def give_stdin(monkeypatch: pytest.MonkeyPatch, content: bytes) -> None:
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(content)))


def test_validate_counts_what_it_found(capsys: pytest.CaptureFixture[str]) -> None:
    """The examples are valid, alone and as a folder."""
    assert main(["validate", str(ROOT / "examples/survey.yaml")]) == 0
    assert "Measurement        1  valid" in capsys.readouterr().out
    assert main(["validate", str(ROOT / "examples/kinds")]) == 0


def test_a_local_run_says_at_once_what_only_clusters_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With what to use instead; the rest of the survey goes on."""
    documents = list(yaml.safe_load_all((ROOT / "examples/survey.yaml").read_text()))
    for each in documents:
        if each["kind"] == "Measurement":
            source = {"object": {"key": "annotations/as.mmdb"}}
            each["spec"] |= {"annotateFrom": [source], "outputs": ["warts"]}
    survey = tmp_path / "survey.yaml"
    survey.write_text(yaml.safe_dump_all(documents))
    assert main(["run", "--dry-run", str(survey)]) == 0
    told = capsys.readouterr()
    annotate, outputs = told.err.splitlines()
    assert annotate.startswith("anabranch: demo: annotateFrom is for clusters")
    assert "anabranch results --annotate FILE" in annotate
    assert "anabranch results --format FORMAT" in outputs
    assert "demo: paris would send" in told.out


WITHOUT_PANDAS = """
import sys
from anabranch.cli import main
assert main(["run", "--dry-run", sys.argv[1]]) == 0
assert "pyarrow" in sys.modules
assert "pandas" not in sys.modules
import pyarrow
assert list(pyarrow.table({"ttl": [3]}).to_pandas()["ttl"]) == [3]
"""


def test_no_command_imports_pandas() -> None:
    """Its import takes long; who needs it afterwards gets it."""
    words = [sys.executable, "-c", WITHOUT_PANDAS, str(ROOT / "examples/survey.yaml")]
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL)


def test_the_readme_shows_the_survey_of_the_demo() -> None:
    """The Measurement, if not each of its line breaks."""
    shown = (ROOT / "README.md").read_text().split("```yaml\n")[1].partition("```")[0]
    survey = yaml.safe_load_all((ROOT / "examples/survey.yaml").read_text())
    (measurement,) = (each for each in survey if each["kind"] == "Measurement")
    assert yaml.safe_load(shown) == measurement


def test_validate_reports_all_problems_of_all_files(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Broken and dangling ones, and bad lists; a file named twice is read once."""
    header = "apiVersion: anabranch.dev/v1alpha1\nkind: "
    (tmp_path / "list.yaml").write_text(
        f"{header}TargetList\nmetadata: {{name: a}}\nspec: {{file: a.csv}}\n---\n"
        f"{header}TargetList\nmetadata: {{name: b}}\nspec: {{file: gone.csv}}\n"
    )
    (tmp_path / "a.csv").write_text("240.0.0.0/8,udp,2,32,6\n240.0.0.0/8,tcp,2,32,6\n")
    give_stdin(
        monkeypatch,
        f"{header}Measurement\nmetadata: {{name: m}}\n"
        "spec: {ping: {}, agents: [{name: x, targetList: a}]}\n---\n"
        f"{header}Agent\nmetadata: {{name: york}}\nspec: {{}}\n".encode(),
    )
    assert main(["validate", "-", str(tmp_path), str(tmp_path / "list.yaml")]) == 1
    told = capsys.readouterr().err
    assert "Agent york: spec.nodeName: required; add it" in told
    assert "spec.agents[0].name: there is no Agent 'x'" in told
    assert "TargetList a: spec.file: line 2 of the list: protocol" in told
    assert "gone.csv: No such file or directory; correct the path" in told
    assert "there is no ProbingPolicy 'default', and without one nothing" in told
    assert told.endswith("5 problems; nothing is used\n")


def test_an_unreadable_file_is_no_missing_object(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """It may hold what the others name."""
    survey = tmp_path / "survey.yaml"
    _, _, without_policy = (ROOT / "examples/survey.yaml").read_text().partition("---")
    survey.write_text(without_policy)
    assert main(["validate", str(survey), "gone.yaml", ""]) == 1
    assert capsys.readouterr().err.splitlines() == [
        "gone.yaml: can't read it: No such file or directory; correct the path or its "
        "rights",
        "'': is no file's name; name a file or folder",
        "2 problems; nothing is used",
    ]


def test_what_is_no_regular_file_is_no_list(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Reading it might never end."""
    (tmp_path / "list.yaml").write_text(
        "apiVersion: anabranch.dev/v1alpha1\nkind: TargetList\n"
        "metadata: {name: a}\nspec: {file: /dev/zero}\n"
    )
    assert main(["validate", str(tmp_path)]) == 1
    assert (
        "spec.file: can't read /dev/zero: is no regular file" in capsys.readouterr().err
    )


def test_validate_refuses_nothing_at_all(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """An empty folder is a mistake."""
    assert main(["validate", str(tmp_path)]) == 1
    assert "no manifest there" in capsys.readouterr().err


def test_targets_counts_a_list(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Plain or compressed, with reserved space left out unless it is asked for."""
    file = tmp_path / "list.csv.zst"
    file.write_bytes(zstandard.compress(LIST))
    assert main(["targets", str(file)]) == 0
    assert "targets          1 of /24 and /64" in capsys.readouterr().out
    assert main(["targets", str(file), "--allow-reserved"]) == 0
    assert "targets          65,537 of /24 and /64" in capsys.readouterr().out


def test_targets_prints_the_canonical_list(
    monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    """Sorted, so that it can be compared and hashed."""
    give_stdin(monkeypatch, LIST)
    assert main(["targets", "-", "--csv"]) == 0
    lines = capfdbinary.readouterr().out.splitlines()
    assert lines == [b"8.8.8.8,icmp,2,32,6", b"240.0.0.0/8,udp,2,32,6"]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"240.0.0.0/8,udp,2,32\n", "line 1: expected target,protocol"),
        (b"::/0,udp,2,32,6\n", "targets, above the limit"),
        (zstandard.compress(LIST)[:-2], "damaged, cut short"),
    ],
)
def test_targets_refuses_a_bad_list_in_its_own_words(
    content: bytes,
    told: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """One clear reason, no traceback."""
    give_stdin(monkeypatch, content)
    assert main(["targets", "-", "--allow-reserved"]) == 1
    assert told in capsys.readouterr().err


def test_a_missing_file_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    """With its name."""
    assert main(["targets", "gone.csv"]) == 1
    assert capsys.readouterr().err == "anabranch: gone.csv: No such file or directory\n"


def test_the_definitions_in_the_repository_are_those_of_the_models() -> None:
    """`make crds` was run after the last change."""
    assert main(["crds", "--check", str(ROOT / "crds")]) == 0


def test_stale_definitions_are_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Missing, changed and left-over ones."""
    assert main(["crds", "--output", str(tmp_path)]) == 0
    assert main(["crds", "--check", str(tmp_path)]) == 0
    (tmp_path / "anabranch.dev_agents.yaml").unlink()
    (tmp_path / "anabranch.dev_rounds.yaml").write_text("")
    (tmp_path / "anabranch.dev_old.yaml").write_bytes(b"\xff")
    (tmp_path / "kustomization.yaml").write_text("not ours")
    assert main(["crds", "--check", str(tmp_path)]) == 1
    assert len(capsys.readouterr().err.splitlines()) == 3


def test_the_definitions_can_be_piped_to_kubectl(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """All of them in one stream."""
    assert main(["crds"]) == 0
    told = capsys.readouterr().out
    assert told.count("kind: CustomResourceDefinition") == len(KINDS)


@pytest.mark.parametrize(
    "command", ["validate {survey}", "targets {list}", "targets {list} --csv", "crds"]
)
@pytest.mark.parametrize("redirection", [">&-", ">/dev/full"])
def test_output_that_can_not_be_written_is_told(
    command: str, redirection: str, tmp_path: Path
) -> None:
    """A closed or full standard output is one line and exit code 1."""
    (tmp_path / "list.csv").write_bytes(LIST)
    files = {"survey": ROOT / "examples/survey.yaml", "list": tmp_path / "list.csv"}
    line = f"{sys.executable} -m anabranch {command.format(**files)} {redirection}"
    done = subprocess.run(["sh", "-c", line], capture_output=True, check=False)
    assert done.returncode == 1
    (told,) = done.stderr.decode().splitlines()
    assert told.startswith("anabranch: ")


def test_a_reader_that_has_enough_is_no_error() -> None:
    """As with head: nothing is told."""
    line = f"{sys.executable} -m anabranch crds | true"
    done = subprocess.run(["sh", "-c", line], capture_output=True, check=True)
    assert done.stderr == b""


def test_a_closed_input_is_told() -> None:
    """If it is to be read at all."""
    program = f"{sys.executable} -m anabranch"
    for command, code in (("targets -", 1), (f"targets {__file__}x", 1), ("crds", 0)):
        line = f"{program} {command} <&-"
        done = subprocess.run(["sh", "-c", line], capture_output=True, check=False)
        assert done.returncode == code
        assert b"Traceback" not in done.stderr


@pytest.mark.parametrize("length", ["33", "-1", "300", "x"])
def test_a_prefix_length_must_exist(
    length: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The refusal names the option."""
    with pytest.raises(SystemExit):
        main(["targets", "-", f"--prefix-len-v4={length}"])
    assert "argument --prefix-len-v4" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--prefixes=-1"], "argument --prefixes: '-1' must be from 0"),
        (["--seed=9999999999"], "argument --seed: '9999999999' must be from 0"),
        (["--set=loss"], "'loss' must be NAME=NUMBER; --set help lists the names"),
        (["--set=help"], "icmp-rate"),
    ],
)
def test_a_simulation_refuses_what_is_no_number(
    options: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The refusal names the option."""
    with pytest.raises(SystemExit):
        main(["simulate", *options, "true"])
    assert told in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--vantage-points=0"], "there can be 1 to 16 vantage points"),
        (["--prefixes=1015809"], "at most 1015808 prefixes of a family fit"),
        (
            ["--prefixes=30000", "--set=sharing=0"],
            "30000 prefixes that share this little have more routers than there are",
        ),
        (["--topology=/nosuch"], "can't read /nosuch: No such file"),
        (["--set=loss=nan"], "loss must be from 0 to 1"),
        (["--set=lost=1"], "lost must be one of loss, silent-routers"),
        ([f"--truth={__file__}"], f"can't write to {__file__}: "),
    ],
)
def test_a_simulation_refuses_what_does_not_fit(
    options: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before anything is made."""
    assert main(["simulate", *options, "true"]) == 1
    assert told in capsys.readouterr().err
