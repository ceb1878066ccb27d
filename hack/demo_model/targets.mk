# The demo's tiny model: trained from text in this repository, committed under examples/01-first-model/weights.
DEMO_MODEL := examples/01-first-model/weights/larkfield-support.gguf
DEMO_MODEL_VENV = $${SLM_CACHE:-$${XDG_CACHE_HOME:-$$HOME/.cache}/smallmodel}/demo-model/$(shell sha256sum hack/demo_model/requirements.txt | cut -c1-12)

.PHONY: train-demo-model eval-demo-model demo-model-env

demo-model-env:
	@venv="$(DEMO_MODEL_VENV)"; test -e "$$venv/.ready" || { \
	  echo "Installing the training packages (about 200 MB) into $$venv ..."; \
	  $(PYTHON) -m venv "$$venv" && "$$venv/bin/pip" install --disable-pip-version-check -r hack/demo_model/requirements.txt && touch "$$venv/.ready"; }

train-demo-model: demo-model-env ## Retrain the demo's support-desk model from text (CPU, 8 to 30 minutes)
	nice -n 5 "$(DEMO_MODEL_VENV)/bin/python" -m hack.demo_model.train --out $(DEMO_MODEL)
	"$(DEMO_MODEL_VENV)/bin/python" -m hack.demo_model.stamp --model $(DEMO_MODEL)
	"$(DEMO_MODEL_VENV)/bin/python" -m hack.demo_model.evaluate --tokenizer 2000

eval-demo-model: demo-model-env ## Ask the committed demo model its questions through llama.cpp and check the answers
	"$(DEMO_MODEL_VENV)/bin/python" -m hack.demo_model.evaluate --tokenizer 500
