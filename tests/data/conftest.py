from corpora import corpus
