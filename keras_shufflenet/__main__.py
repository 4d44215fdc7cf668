"""`python -m keras_shufflenet` is the command `keras-shufflenet`."""

from keras_shufflenet.cli.main import run

if __name__ == "__main__":
    run()
