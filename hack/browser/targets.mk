.PHONY: report-screenshot

report-screenshot: setup ## Make docs/how-to/report.png anew: a sample boundary report in Chromium
	@$(BIN)/python -m hack.browser.picture
