"""PneumoniaMNIST: chest films of children, whose one fact is called like the set."""

from .adapter import Adapter

ADAPTER = Adapter(named={"medmnist_pneumoniamnist": "pneumonia film"})
