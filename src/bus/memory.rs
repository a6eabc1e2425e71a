//! The bus of a node that runs alone: there is nobody to publish to.

use async_trait::async_trait;

use crate::chat::{Bus, Envelope, Topic, Unavailable};

/// Reaches nobody, and always can.
#[derive(Debug, Default, Clone, Copy)]
pub struct MemoryBus;

#[async_trait]
impl Bus for MemoryBus {
    async fn publish(&self, _: &Envelope) -> Result<(), Unavailable> {
        Ok(())
    }

    async fn subscribe(&self, _: Topic) -> Result<(), Unavailable> {
        Ok(())
    }

    fn unsubscribe(&self, _: Topic) {}

    fn is_alone(&self) -> bool {
        true
    }

    async fn ping(&self) -> Result<(), Unavailable> {
        Ok(())
    }
}
