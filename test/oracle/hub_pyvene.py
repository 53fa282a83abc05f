"""pyvene and vene share interventions through vene's embedded Hub, in both directions, and generate the same tokens.

pyvene saves to the Hub with save_to_hf_hub=True; vene steers with that repository; vene pushes it back in its own format;
pyvene loads what vene pushed. Needs torch, transformers, pyvene and huggingface_hub, and vene built:

    npm run build && python test/oracle/hub_pyvene.py [dist/cli/main.js]
"""
import json
import os
import subprocess
import sys
import tempfile

cli = sys.argv[1] if len(sys.argv) > 1 else "dist/cli/main.js"
tiny = "examples/truthful-tiny"
token = "hf_oracleoracleoracleoracle"
scratch = tempfile.mkdtemp(prefix="vene-oracle-")
env = {**os.environ, "HF_HOME": os.path.join(scratch, "hf"), "HF_TOKEN": token, "HF_HUB_DISABLE_PROGRESS_BARS": "1"}

serve = ["node", cli, "--json", "hub", "serve", "--dir", os.path.join(scratch, "hub"), "--port", "0", "--token", token]
server = subprocess.Popen(serve, stdout=subprocess.PIPE, text=True)
started = json.loads(server.stdout.readline())
env["HF_ENDPOINT"] = started["url"]
os.environ.update({name: env[name] for name in ("HF_HOME", "HF_TOKEN", "HF_ENDPOINT", "HF_HUB_DISABLE_PROGRESS_BARS")})


def vene(*arguments):
    """Runs a command with --json and returns its object."""
    done = subprocess.run(["node", cli, "--json", *arguments], env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def main():
    # After HF_ENDPOINT is set: huggingface_hub reads it when it is imported.
    import pyvene
    import torch
    from huggingface_hub import HfApi, __version__
    from transformers import AutoModelForCausalLM, AutoTokenizer

    user = vene("hub", "whoami")["name"]
    there, back = f"{user}/from-pyvene", f"{user}/from-vene"
    model = AutoModelForCausalLM.from_pretrained(tiny).eval()
    tokenizer = AutoTokenizer.from_pretrained(tiny)
    torch.manual_seed(0)
    vectors = {layer: 8.0 * torch.randn(1, 1, model.config.hidden_size) for layer in (1, 3)}
    made = pyvene.IntervenableModel(
        [
            {
                "layer": layer,
                "component": "block_output",
                "intervention_type": pyvene.AdditionIntervention,
                "source_representation": vector,
            }
            for layer, vector in vectors.items()
        ],
        model,
    )
    made.save(os.path.join(scratch, "saved"), save_to_hf_hub=True, hf_repo_name=there)
    on_hub = sorted(file for file in HfApi().list_repo_files(there) if file != ".gitattributes")
    assert on_hub == ["config.json", *sorted(file for file in on_hub if file.startswith("intkey_"))], on_hub
    assert len(on_hub) == 3, on_hub

    prompt = "Q: Which is larger, 27 or 7? A:"
    inputs = tokenizer(prompt, return_tensors="pt")
    length = inputs["input_ids"].shape[1]

    def generated(intervenable):
        plain, steered = intervenable.generate(
            {"input_ids": inputs["input_ids"]}, max_new_tokens=16, do_sample=False, output_original_output=True
        )
        return [one[0, length:].tolist() for one in (plain, steered)]

    expected = generated(made)
    assert expected[0] != expected[1], "the intervention changes nothing: it tests nothing"

    def steered_by_vene(repo):
        told = vene("generate", "--model", tiny, "--intervention", repo, "--max-new-tokens", "16", prompt)
        return [told[side]["tokens"] for side in ("plain", "steered")]

    assert steered_by_vene(there) == expected, (steered_by_vene(there), expected)

    pulled = vene("pull", there)
    folder = os.path.join(scratch, "converted")
    vene("convert", pulled["folder"], folder, "--name", "from-vene")
    pushed = vene("push", folder, back, "--private")
    assert pushed["changed"] and not vene("push", folder, back)["changed"]
    assert steered_by_vene(pushed["ref"]) == expected

    loaded = pyvene.IntervenableModel.load(back, model=model)
    assert generated(loaded) == expected, (generated(loaded), expected)
    with torch.no_grad():
        one, other = (iv({"input_ids": inputs["input_ids"]})[1].logits for iv in (made, loaded))
    assert torch.equal(one, other), (one - other).abs().max()
    print(f"huggingface_hub {__version__}: pyvene -> Hub -> vene -> Hub -> pyvene, the same 16 tokens and logits")


try:
    main()
finally:
    server.terminate()
    server.wait()
