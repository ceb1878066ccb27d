"""Which model suits a request: a small classifier of prompts, explainable, trained from examples. Pure, no library.

learned = training.learn(examples, classes)   # examples: (text, class); seconds for thousands
classifier.read(model_file.write(learned))    # a file that fits a ConfigMap
learned.probability("...")                    # tens of microseconds
learned.explain("...")                        # the n-grams that decided
"""
